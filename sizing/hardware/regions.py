"""Regions of the clouds: which there are, their zones, and which machine types are sold there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from sizing.hardware.machines import Cloud
from sizing.tables import read_data

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Regions:
    """data/regions.<cloud>.yaml, as it was on the day `as_of`.

    zones: availability zones in which a managed cluster can run, where there are not usual_zones of them.
    sold: regions by machine type or family of machine types; what has no line is not known.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    as_of: date
    regions: tuple[str, ...]
    usual_zones: int
    zones: Mapping[str, int]
    sold: Mapping[str, tuple[str, ...]]

    def zones_of(self, region: str) -> int:
        """How many availability zones of `region` a cluster can span."""
        return self.zones.get(region, self.usual_zones)

    def sellers(self, machine_type: str) -> tuple[str, ...] | None:
        """Regions in which the machine type is sold; None where that is not known."""
        family = machine_type.partition(".")[0]
        return self.sold.get(machine_type, self.sold.get(family))

    def sells(self, machine_type: str, region: str) -> bool:
        """Whether `region` is not known to be without the machine type."""
        sellers = self.sellers(machine_type)
        return sellers is None or region in sellers


@cache
def regions_of(cloud: Cloud) -> Regions:
    """The regions of one cloud, read when they are asked for: most plans are of one cloud or of none."""
    return TypeAdapter(Regions).validate_python(read_data(DATA / f"regions.{cloud}.yaml"))


def nearest(region: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """`others`, with those first that begin like `region`: for eu-west-1 eu-central-1 before us-east-1."""
    area = region.partition("-")[0]
    return tuple(sorted(others, key=lambda other: other.partition("-")[0] != area))
