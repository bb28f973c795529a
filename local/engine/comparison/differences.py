"""Differences between the two servers, and which of them are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from local.engine.comparison import exchanges, metric_families
from local.engine.comparison.facts import Observed

KNOWN = Path(__file__).parent / "known_differences.yaml"


@dataclass(frozen=True)
class Verdict:
    """unexpected, known: what differs, by name. gone: known differences that were not found."""

    unexpected: Mapping[str, str]
    known: Mapping[str, str]
    gone: tuple[str, ...]


def known_differences() -> dict[str, str]:
    """Reason for each difference that is meant, by its name."""
    return yaml.safe_load(KNOWN.read_text(encoding="utf-8"))


def all_differences(real: Observed, emulated: Observed) -> dict[str, str]:
    """Everything that differs, by name."""
    idle = metric_families.differences(real.idle, emulated.idle)
    used = metric_families.differences(real.used, emulated.used)
    return {
        **{f"idle {name}": difference for name, difference in idle.items()},
        **{f"used {name}": difference for name, difference in used.items()},
        **exchanges.differences(real.answers, emulated.answers),
    }


def judge(found: Mapping[str, str]) -> Verdict:
    known = known_differences()
    return Verdict(
        unexpected={name: difference for name, difference in found.items() if name not in known},
        known={name: difference for name, difference in found.items() if name in known},
        gone=tuple(name for name in known if name not in found),
    )
