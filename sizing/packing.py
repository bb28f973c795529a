"""How replicas of models fill machines: which machine type a pool uses, and how many machines that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sizing.hardware.machines import Machine


def cheapest_machine(machines: Iterable[Machine], gpus: int) -> Machine | None:
    """The machine of lowest price that has at least `gpus` GPUs, or None: what a node autoscaler buys."""
    fitting = [machine for machine in machines if machine.accelerator_count >= gpus]
    return min(fitting, key=lambda machine: (machine.price_per_hour_usd, machine.name), default=None)


def machines_needed(replica_gpus: Sequence[int], gpus_per_machine: int) -> int:
    """Machines that hold these replicas, each given by its number of GPUs.

    Largest first, each onto the fullest machine with room: exact for replica sizes that divide one another
    (1, 2, 4, 8), which are the sizes that tensor parallelism has in practice. Machines with as many free GPUs
    are alike, so they are counted, not listed. Raises ValueError for a replica larger than a machine.
    """
    free: Counter[int] = Counter()
    machines = 0
    for gpus in sorted(replica_gpus, reverse=True):
        if gpus > gpus_per_machine:
            raise ValueError(f"a replica with {gpus} GPUs does not fit a machine with {gpus_per_machine}")
        place = min((left for left, count in free.items() if left >= gpus and count > 0), default=None)
        if place is None:
            machines += 1
            place = gpus_per_machine
        else:
            free[place] -= 1
        free[place - gpus] += 1
    return machines
