"""What a cluster costs before any GPU machine runs in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from sizing.tables import read_table


@dataclass(frozen=True)
class ClusterPrice:
    """Prices of one provider, US dollars.

    nat_gateway_usd_per_hour: each gateway with its public address. nat_usd_per_machine_hour: each machine
    behind it, for at most nat_machines_charged of them. attached_disk_usd_per_gb_month: disks of machines, by
    type.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    region: str
    as_of: date
    control_plane_usd_per_hour: float
    nat_gateway_usd_per_hour: float
    nat_usd_per_machine_hour: float
    nat_machines_charged: int
    attached_disk_usd_per_gb_month: Mapping[str, float]
    source: str


CLUSTER_PRICES = read_table(Path(__file__).parent / "data" / "clusters.yaml", ClusterPrice)
