"""Versions of inference engines, and the oldest of each that is safe to run; data/engine_versions.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from sizing.tables import read_table

EngineVersion = tuple[int, int, int, int]
"""Major, minor, patch, and 0 for a pre-release or 1 for the release itself: compares as versions do."""


@dataclass(frozen=True)
class MinimumVersion:
    """The oldest version of one engine that may run. holes: what is wrong with those before it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    minimum: str
    holes: str
    as_of: date
    source: str


MINIMUM_VERSIONS = read_table(Path(__file__).parent / "data" / "engine_versions.yaml", MinimumVersion)

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,6}))?(?P<rest>[^0-9].*)?")
_PRE_RELEASE = re.compile(r"[-._+]?(rc|a|b|alpha|beta|dev|pre|nightly)", re.IGNORECASE)


def engine_version(tag: str) -> EngineVersion | None:
    """The version that the tag of an image says, such as v0.32.0 or 26.07-py3; None if it says none."""
    found = _VERSION.fullmatch(tag)
    if found is None:
        return None
    pre_release = _PRE_RELEASE.match(found["rest"] or "") is not None
    return int(found[1]), int(found[2]), int(found[3] or 0), 0 if pre_release else 1


def too_old(engine: str, tag: str) -> str | None:
    """Why this image of `engine` must not run, as the end of a sentence about it; None if it may."""
    row = MINIMUM_VERSIONS.get(engine)
    if row is None:
        return None
    minimum, version = engine_version(row.minimum), engine_version(tag)
    assert minimum is not None, row
    if version is None:
        return f"says no version ({tag or 'no tag'}), so nobody knows its holes: name {row.minimum} or newer"
    if version < minimum:
        return f"is {tag}, older than {row.minimum}: {row.holes}"
    return None
