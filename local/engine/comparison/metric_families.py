"""What a /metrics page says about its families, in a form that can be compared and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

OF_THE_RUN = frozenset({"model_name", "le", "version", "patchlevel", "minor", "major", "implementation"})
"""Labels whose values belong to the run, not to the engine."""

INFORMATION = frozenset({"vllm:cache_config", "vllm:cache_config_info"})
"""Families whose label values are settings; only the names of their labels count."""


@dataclass(frozen=True)
class Family:
    """labels: names. buckets: upper bounds. series: label values of every series, apart from the run's
    own."""

    name: str
    type: str
    labels: tuple[str, ...]
    buckets: tuple[str, ...]
    series: tuple[str, ...]


def families(page: str) -> dict[str, Family]:
    """The families of a page in Prometheus' text format. Raises ValueError if it is none."""
    found = {}
    for metric in text_string_to_metric_families(page):
        labels = {name for sample in metric.samples for name in sample.labels} - {"le"}
        buckets = {sample.labels["le"] for sample in metric.samples if "le" in sample.labels}
        found[metric.name] = Family(
            name=metric.name,
            type=metric.type,
            labels=tuple(sorted(labels)),
            buckets=tuple(sorted(buckets, key=float)),
            series=() if metric.name in INFORMATION else _series(sample.labels for sample in metric.samples),
        )
    return found


def _series(labels: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    values = (
        ", ".join(f"{name}={value}" for name, value in sorted(each.items()) if name not in OF_THE_RUN)
        for each in labels
    )
    return tuple(sorted(set(values)))


def as_data(found: Mapping[str, Family]) -> list[dict[str, Any]]:
    return [asdict(family) for family in found.values()]


def from_data(rows: Sequence[Mapping[str, Any]]) -> dict[str, Family]:
    return {
        row["name"]: Family(
            row["name"], row["type"], tuple(row["labels"]), tuple(row["buckets"]), tuple(row["series"])
        )
        for row in rows
    }


def differences(real: Mapping[str, Family], emulated: Mapping[str, Family]) -> dict[str, str]:
    """What differs, by a name that a known difference can refer to."""
    found = {f"metric {name}": "only real vLLM has it" for name in real.keys() - emulated.keys()}
    found |= {f"metric {name}": "only the emulator has it" for name in emulated.keys() - real.keys()}
    for name in sorted(real.keys() & emulated.keys()):
        for aspect in ("type", "labels", "buckets", "series"):
            expected, got = getattr(real[name], aspect), getattr(emulated[name], aspect)
            if expected != got:
                found[f"metric {name} {aspect}"] = f"real vLLM {expected}, emulator {got}"
    return found
