"""Facts about accelerators, by the name that a stack file uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict

from sizing.choices import UnknownNameError
from sizing.tables import read_table


@dataclass(frozen=True)
class Accelerator:
    """One GPU model. All figures are per GPU.

    usable_gib: memory that CUDA reports to a process, not the nameplate.
    bandwidth_gb_per_s: memory bandwidth, 10^9 bytes per second.
    bf16_tflops, fp8_tflops: dense tensor throughput; None where the hardware has no such unit.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    product: str
    compute_capability: str
    usable_gib: float
    bandwidth_gb_per_s: float
    bf16_tflops: float | None
    fp8_tflops: float | None
    interconnect: Literal["pcie", "nvlink"]
    as_of: date
    source: str


ACCELERATORS = read_table(Path(__file__).parent / "data" / "accelerators.yaml", Accelerator)


def accelerator(name: str) -> Accelerator:
    """The row called `name`. Raises UnknownNameError."""
    try:
        return ACCELERATORS[name]
    except KeyError:
        raise UnknownNameError("accelerator", name, ACCELERATORS) from None
