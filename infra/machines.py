"""Machines that clouds sell: size, GPUs and price, by the cloud's own name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from infra.choices import UnknownNameError
from infra.tables import read_table


@dataclass(frozen=True)
class Machine:
    """One machine type.

    accelerator: row of infra/accelerators.py, None for a machine without GPUs.
    allocatable_*: what is left for pods once the system and the kubelet have their share.
    local_disk_gb: local NVMe, 10^9 bytes. GPU nodes keep images, caches and emptyDir volumes there.
    price_per_hour_usd: on-demand, for the whole machine, in `region` on the day `as_of`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    accelerator: str | None
    accelerator_count: int
    cpus: int
    memory_gib: float
    allocatable_cpu_millicores: int
    allocatable_memory_mib: int
    local_disk_gb: int
    price_per_hour_usd: float
    region: str
    as_of: date
    source: str

    @property
    def allocatable_memory_gib(self) -> float:
        return self.allocatable_memory_mib / 1024


MACHINES = read_table(Path(__file__).parent / "data" / "machines.aws.yaml", Machine)


def machine(name: str) -> Machine:
    """The row called `name`. Raises UnknownNameError."""
    try:
        return MACHINES[name]
    except KeyError:
        raise UnknownNameError("machine type", name, MACHINES) from None


def machines_with(accelerator: str) -> tuple[Machine, ...]:
    """Every machine type that carries this accelerator, smallest first."""
    return tuple(
        sorted(
            (row for row in MACHINES.values() if row.accelerator == accelerator),
            key=lambda row: (row.accelerator_count, row.cpus, row.name),
        )
    )
