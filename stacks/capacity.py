"""How replicas of models fill machines: which machine type a pool uses, and how many machines that takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infra.machines import Machine


def cheapest_machine(machines: Iterable[Machine], gpus: int) -> Machine | None:
    """The machine of lowest price that has at least `gpus` GPUs, or None: what a node autoscaler buys."""
    fitting = [machine for machine in machines if machine.accelerator_count >= gpus]
    return min(fitting, key=lambda machine: (machine.price_per_hour_usd, machine.name), default=None)


def machines_needed(replica_gpus: Sequence[int], gpus_per_machine: int) -> int:
    """Machines that hold these replicas, each given by its number of GPUs.

    First fit, largest first: exact for replica sizes that divide one another (1, 2, 4, 8), which are the
    sizes that tensor parallelism has in practice. Raises ValueError for a replica larger than a machine.
    """
    free: list[int] = []
    for gpus in sorted(replica_gpus, reverse=True):
        if gpus > gpus_per_machine:
            raise ValueError(f"a replica with {gpus} GPUs does not fit a machine with {gpus_per_machine}")
        place = next((index for index, left in enumerate(free) if left >= gpus), None)
        if place is None:
            free.append(gpus_per_machine - gpus)
        else:
            free[place] -= gpus
    return len(free)
