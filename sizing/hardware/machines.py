"""Machines that clouds sell: size, GPUs and price, by the cloud's own name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

from pydantic import ConfigDict

from sizing.choices import UnknownNameError
from sizing.hardware.prices.table import read_prices, read_unpriced
from sizing.tables import read_table

DATA = Path(__file__).parent / "data"

Cloud = Literal["aws", "gcp"]
CLOUDS: tuple[Cloud, ...] = ("aws", "gcp")


@dataclass(frozen=True)
class MachineShape:
    """One machine type, whatever it costs.

    accelerator: row of sizing/hardware/accelerators.py.
    allocatable_*: what is left for pods once the system and the kubelet have their share.
    local_disk_gb: NVMe that comes with it, 10^9 bytes; 0 where only an attached disk holds images and caches.
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
class SystemMachine:
    """A machine type without GPUs, for what runs beside the models; the price is on-demand."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    cloud: Cloud
    cpus: int
    memory_gib: float
    price_per_hour_usd: float
    region: str
    as_of: date
    source: str


def _shapes(cloud: Cloud) -> Mapping[str, MachineShape]:
    return read_table(DATA / f"machines.{cloud}.yaml", MachineShape)


def _priced(cloud: Cloud) -> Mapping[str, Machine]:
    prices = read_prices(cloud)
    return {
        name: Machine(
            **asdict(shape),
            price_per_hour_usd=prices[name].on_demand_usd_per_hour,
            spot_price_per_hour_usd=prices[name].spot_usd_per_hour,
            region=prices[name].region,
            as_of=prices[name].as_of,
            source=prices[name].source,
        )
        for name, shape in SHAPES.items()
        if shape.cloud == cloud and name in prices
    }


SHAPES: Mapping[str, MachineShape] = MappingProxyType(
    {name: shape for cloud in CLOUDS for name, shape in _shapes(cloud).items()}
)
"""Every machine type, with or without a price."""

MACHINES: Mapping[str, Machine] = MappingProxyType(
    {name: row for cloud in CLOUDS for name, row in _priced(cloud).items()}
)
"""Every machine type whose price is known."""

UNPRICED: Mapping[str, str] = MappingProxyType(
    {name: reason for cloud in CLOUDS for name, reason in read_unpriced(cloud).items()}
)
"""Machine types without a price that can be trusted, and the reason."""

SYSTEM_MACHINES = read_table(DATA / "system_machines.yaml", SystemMachine)


def machine(name: str) -> Machine:
    """The row called `name`. Raises UnknownNameError."""
    try:
        return MACHINES[name]
    except KeyError:
        raise UnknownNameError("machine type", name, MACHINES) from None


def machines_of(cloud: Cloud) -> tuple[Machine, ...]:
    """Every machine type of `cloud` whose price is known, in the order of its file."""
    return tuple(row for row in MACHINES.values() if row.cloud == cloud)


def shapes_with(accelerator: str, clouds: tuple[Cloud, ...] = CLOUDS) -> tuple[MachineShape, ...]:
    """Every machine type of these clouds that carries this accelerator, smallest first."""
    return tuple(
        sorted(
            (row for row in SHAPES.values() if row.accelerator == accelerator and row.cloud in clouds),
            key=lambda row: (row.accelerator_count, row.cpus, row.name),
        )
    )
