"""Differences between the two servers, and which of them are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from local.engine.comparison import exchanges, metric_families
from local.engine.comparison.environment import Release
from local.engine.comparison.observations import Observed

KNOWN = Path(__file__).parent / "known_differences.yaml"


class KnownDifference(BaseModel):
    """differs: names of differences, or patterns of names with * and ?. releases: of which the difference is;
    none means all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    differs: tuple[str, ...]
    reason: str
    releases: tuple[str, ...] = ()

    def is_of(self, release: Release) -> bool:
        return not self.releases or release.version in self.releases


@dataclass(frozen=True)
class Verdict:
    """unexpected, known: what differs, by name. reasons: of the known ones. gone: names and patterns of known
    differences that were not found."""

    unexpected: Mapping[str, str]
    known: Mapping[str, str]
    reasons: Mapping[str, str]
    gone: tuple[str, ...]


def known_differences() -> tuple[KnownDifference, ...]:
    """Every difference that is meant, with its reason."""
    rows = yaml.safe_load(KNOWN.read_text(encoding="utf-8"))
    return tuple(KnownDifference.model_validate(row) for row in rows)


def all_differences(real: Observed, emulated: Observed, release: Release) -> dict[str, str]:
    """Everything that differs, by name."""
    idle = metric_families.differences(real.idle, emulated.idle)
    used = metric_families.differences(real.used, emulated.used)
    answers = {
        name: replace(shape, body=release.without_additions(shape.body))
        for name, shape in real.answers.items()
    }
    return {
        **{f"idle {name}": difference for name, difference in idle.items()},
        **{f"used {name}": difference for name, difference in used.items()},
        **exchanges.differences(answers, emulated.answers),
    }


def judge(found: Mapping[str, str], release: Release, known: Sequence[KnownDifference]) -> Verdict:
    reasons: dict[str, str] = {}
    gone: list[str] = []
    for difference in known:
        if not difference.is_of(release):
            continue
        for pattern in difference.differs:
            names = [name for name in found if fnmatchcase(name, pattern)]
            reasons |= dict.fromkeys(names, difference.reason)
            if not names:
                gone.append(pattern)
    return Verdict(
        unexpected={name: what for name, what in found.items() if name not in reasons},
        known={name: what for name, what in found.items() if name in reasons},
        reasons=reasons,
        gone=tuple(gone),
    )
