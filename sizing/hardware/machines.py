"""Machines that clouds sell: size, GPUs and price, by the cloud's own name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from sizing.choices import UnknownNameError
from sizing.hardware.prices.table import priced_regions, read_prices
from sizing.tables import read_data, read_table

DATA = Path(__file__).parent / "data"

Cloud = Literal["aws", "gcp"]
CLOUDS: tuple[Cloud, ...] = ("aws", "gcp")

CapacityType = Literal["reserved", "on-demand", "spot"]

SPOT_NOTICE_SECONDS: Mapping[Cloud, int] = {"aws": 120, "gcp": 30}
"""From the notice that a spot machine is taken back to its end: EC2's interruption notice, Compute Engine's
preemption process. What still runs then is cut off."""


@dataclass(frozen=True)
class MachineShape:
    """One machine type, whatever it costs.

    accelerator: row of sizing/hardware/accelerators.py.
    allocatable_*: what is left for pods once the system and the kubelet have their share.
    local_disk_gb: NVMe that comes with it, 10^9 bytes; 0 where only an attached disk holds images and caches.
    attached_disk: type of a disk that is attached to it. sold: how it can be bought, where it is sold.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    cloud: Cloud
    accelerator: str
    accelerator_count: int
    cpus: int
    memory_gib: float
    allocatable_cpu_millicores: int
    allocatable_memory_mib: int
    local_disk_gb: int
    attached_disk: str
    sold: tuple[CapacityType, ...]

    @property
    def allocatable_memory_gib(self) -> float:
        return self.allocatable_memory_mib / 1024


@dataclass(frozen=True)
class Machine(MachineShape):
    """A machine type whose price is known.

    price_per_hour_usd: on-demand, for the whole machine, in `region` on the day `as_of`.
    spot_price_per_hour_usd: last spot price seen; None where none was.
    """

    price_per_hour_usd: float
    spot_price_per_hour_usd: float | None
    region: str
    as_of: date
    source: str


@dataclass(frozen=True)
class SystemMachineShape:
    """A machine type without GPUs, for what runs beside the models, whatever it costs."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    cloud: Cloud
    cpus: int
    memory_gib: float


@dataclass(frozen=True)
class SystemMachine(SystemMachineShape):
    """A machine type without GPUs whose price is known; it is on-demand."""

    price_per_hour_usd: float
    region: str
    as_of: date
    source: str


REFERENCE_REGIONS: Mapping[Cloud, str] = {"aws": "us-east-1", "gcp": "us-central1"}
"""Whose prices stand in where no region is known: of the local cluster, of one that a team already has."""


def _shapes(cloud: Cloud) -> Mapping[str, MachineShape]:
    return read_table(DATA / f"machines.{cloud}.yaml", MachineShape)


SHAPES: Mapping[str, MachineShape] = MappingProxyType(
    {name: shape for cloud in CLOUDS for name, shape in _shapes(cloud).items()}
)
"""Every machine type, with or without a price."""

SYSTEM_SHAPES: Mapping[str, SystemMachineShape] = read_table(
    DATA / "system_machines.yaml", SystemMachineShape
)
"""Every machine type without GPUs, with or without a price."""

UNPRICED: Mapping[str, str] = MappingProxyType(
    TypeAdapter(dict[str, str]).validate_python(read_data(DATA / "unpriced.yaml"))
)
"""Machine types whose price is missing for a reason, and the reason."""


@cache
def machines_in(cloud: Cloud, region: str) -> Mapping[str, Machine]:
    """Machine types of `cloud` whose price in `region` is known, in the order of their file."""
    prices = read_prices(cloud, region)
    return MappingProxyType(
        {
            name: Machine(
                **vars(shape),
                price_per_hour_usd=prices[name].on_demand_usd_per_hour,
                spot_price_per_hour_usd=prices[name].spot_usd_per_hour,
                region=region,
                as_of=prices[name].as_of,
                source=prices[name].source,
            )
            for name, shape in SHAPES.items()
            if shape.cloud == cloud and name in prices
        }
    )


@cache
def system_machines_in(cloud: Cloud, region: str) -> Mapping[str, SystemMachine]:
    """Machine types of `cloud` without GPUs whose price in `region` is known."""
    prices = read_prices(cloud, region)
    return MappingProxyType(
        {
            name: SystemMachine(
                **vars(shape),
                price_per_hour_usd=prices[name].on_demand_usd_per_hour,
                region=region,
                as_of=prices[name].as_of,
                source=prices[name].source,
            )
            for name, shape in SYSTEM_SHAPES.items()
            if shape.cloud == cloud and name in prices
        }
    )


def why_unpriced(name: str, cloud: Cloud, region: str) -> str | None:
    """Why a machine type, with GPUs or without, has no price in `region`; None if it has one."""
    if name in read_prices(cloud, region):
        return None
    if name in UNPRICED:
        return UNPRICED[name]
    if region not in priced_regions(cloud):
        return f"no prices of {region} are known"
    return "other machine types have one"


MACHINES: Mapping[str, Machine] = MappingProxyType(
    {name: row for cloud in CLOUDS for name, row in machines_in(cloud, REFERENCE_REGIONS[cloud]).items()}
)
"""Every machine type whose price in the reference region of its cloud is known."""

SYSTEM_MACHINES: Mapping[str, SystemMachine] = MappingProxyType(
    {
        name: row
        for cloud in CLOUDS
        for name, row in system_machines_in(cloud, REFERENCE_REGIONS[cloud]).items()
    }
)
"""The same for machine types without GPUs."""


def machine(name: str) -> Machine:
    """The row called `name`, with its price in the reference region. Raises UnknownNameError."""
    try:
        return MACHINES[name]
    except KeyError:
        raise UnknownNameError("machine type", name, MACHINES) from None


def machines_of(cloud: Cloud) -> tuple[Machine, ...]:
    """Every machine type of `cloud` whose price in its reference region is known."""
    return tuple(machines_in(cloud, REFERENCE_REGIONS[cloud]).values())


def shapes_with(accelerator: str, clouds: tuple[Cloud, ...] = CLOUDS) -> tuple[MachineShape, ...]:
    """Every machine type of these clouds that carries this accelerator, smallest first."""
    return tuple(
        sorted(
            (row for row in SHAPES.values() if row.accelerator == accelerator and row.cloud in clouds),
            key=lambda row: (row.accelerator_count, row.cpus, row.name),
        )
    )
