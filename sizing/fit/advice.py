"""What would do instead: the cheapest machine on which a replica that does not fit would."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sizing.fit.fit import fits
from sizing.fit.parallelism import valid_degrees
from sizing.fit.request import FitRequest, Measured
from sizing.hardware.accelerators import accelerator
from sizing.hardware.machines import MACHINES, Machine


@dataclass(frozen=True)
class Alternative:
    """A machine that would do, and how the replica would be divided on it."""

    machine: Machine
    tensor_parallel: int

    @property
    def text(self) -> str:
        machine = self.machine
        return (
            f"{machine.name} ({machine.accelerator_count} x {machine.accelerator}, "
            f"{machine.price_per_hour_usd:.2f} $/h in {machine.region}) with tensor_parallel "
            f"{self.tensor_parallel}"
        )


def cheapest_alternative(request: FitRequest) -> Alternative | None:
    """The machine of lowest price that runs this model at this context, or None.

    Measured figures belong to the GPU they were measured on and are not carried over; a machine that is
    named keeps the search in its cloud. A context above the model's own has no alternative.
    """
    cloud = None if request.machine is None else request.machine.cloud
    offered = [row for row in MACHINES.values() if cloud is None or row.cloud == cloud]
    for machine in sorted(offered, key=lambda row: (row.price_per_hour_usd, row.name)):
        for degree in valid_degrees(request.model, machine.accelerator_count):
            if degree & (degree - 1):  # sizes that machines are sold in
                continue
            moved = replace(
                request,
                accelerator=accelerator(machine.accelerator),
                tensor_parallel=degree,
                pipeline_parallel=1,
                measured=Measured(),
                machine=machine,
            )
            if fits(moved):
                return Alternative(machine, degree)
    return None
