"""What was seen of real vLLMs, kept in files: metric families, answers, and when.

Every release has a file. That of the first is whole; a later one has only what differs from it. Answers that
look the same stand there once, with the names of all requests that got them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from local.engine.comparison.environment import RELEASES, Release
from local.engine.comparison.exchanges import Shape
from local.engine.comparison.metric_families import Family, as_data, from_data

OBSERVED = Path(__file__).parent / "observed"

Value = TypeVar("Value")


@dataclass(frozen=True)
class Observed:
    """What a server shows: its metric families before and after the requests, and the shapes of its
    answers."""

    idle: Mapping[str, Family]
    used: Mapping[str, Family]
    answers: Mapping[str, Shape]


def observed_file(release: Release) -> Path:
    return OBSERVED / f"{release.version}.json"


def write_observed(release: Release, date: str, observed: Observed) -> None:
    """Keeps an observation. date: the day it was made, as year-month-day."""
    first = RELEASES[0]
    base = Observed({}, {}, {}) if release == first else read_observed(first)
    document = {
        "source": f"{release.described}, tiny random Llama on a CPU, "
        "by `python -m local.engine.comparison --write-facts`",
        "date": date,
        "idle": as_data(_news(observed.idle, base.idle)),
        "used": as_data(_news(observed.used, base.used)),
        "answers": _grouped(_news(observed.answers, base.answers)),
    }
    OBSERVED.mkdir(exist_ok=True)
    observed_file(release).write_text(_lines(document), encoding="utf-8")


def read_observed(release: Release) -> Observed:
    """What the real vLLM showed when the file was written."""
    document = json.loads(observed_file(release).read_text(encoding="utf-8"))
    seen = Observed(from_data(document["idle"]), from_data(document["used"]), _by_name(document["answers"]))
    first = RELEASES[0]
    if release == first:
        return seen
    base = read_observed(first)
    return Observed({**base.idle, **seen.idle}, {**base.used, **seen.used}, {**base.answers, **seen.answers})


def _news(seen: Mapping[str, Value], base: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in seen.items() if base.get(name) != value}


def _grouped(answers: Mapping[str, Shape]) -> list[dict[str, Any]]:
    groups: dict[Shape, list[str]] = {}
    for name, shape in answers.items():
        groups.setdefault(shape, []).append(name)
    return [{**asdict(shape), "answer_to": names} for shape, names in groups.items()]


def _by_name(groups: Sequence[Mapping[str, Any]]) -> dict[str, Shape]:
    return {
        name: Shape(group["status"], group["content_type"], group["headers"], group["body"])
        for group in groups
        for name in group["answer_to"]
    }


def _lines(document: Mapping[str, Any]) -> str:
    """JSON with one line for each row of its lists, so that a change shows as one line."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            parts.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
