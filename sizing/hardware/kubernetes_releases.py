"""Releases of Kubernetes that a cloud offers, and how long it supports each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from sizing.hardware.machines import Cloud
from sizing.tables import read_data

DATA = Path(__file__).parent / "data"

ENDS_SOON = timedelta(days=90)
"""How long before the end of standard support a plan says so: an upgrade wants to be tested first."""


@dataclass(frozen=True)
class Support:
    """The days on which standard and extended support of one release end."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    standard_until: date
    extended_until: date


@dataclass(frozen=True)
class Releases:
    """data/kubernetes_releases.<cloud>.yaml, as it was on the day `as_of`.

    extended_support_usd_per_hour: price of a control plane whose release is past standard support.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    as_of: date
    extended_support_usd_per_hour: float
    releases: Mapping[str, Support]


@cache
def releases_of(cloud: Cloud) -> Releases | None:
    """What a cloud offers; None where a stack file names no release, as on GKE, which has channels."""
    path = DATA / f"kubernetes_releases.{cloud}.yaml"
    return TypeAdapter(Releases).validate_python(read_data(path)) if path.exists() else None
