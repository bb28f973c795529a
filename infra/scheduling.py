"""How pods find GPU machines: one description of a node pool, from which both sides are rendered.

A pool's nodes carry a label and a taint, a model's pods a selector and a toleration. Both come from the same
object, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sizing.hardware.accelerators import Accelerator
from sizing.hardware.machines import Machine
from sizing.labels import ACCELERATOR_LABEL, GPU_RESOURCE, NODE_POOL_LABEL

SHARE_FOR_PODS = 0.9
"""Part of a machine's allocatable CPU and memory that replicas request; the rest is for DaemonSets."""


@dataclass(frozen=True)
class Taint:
    """Keeps pods off a node unless they tolerate it."""

    key: str
    value: str
    effect: Literal["NoSchedule"]


GPU_TAINT = Taint(key=GPU_RESOURCE, value="present", effect="NoSchedule")
"""The taint that GKE puts on GPU nodes by itself; device plugins and exporters tolerate it by default."""


@dataclass(frozen=True)
class MachineShare:
    """What one replica may use of a machine besides its GPUs."""

    gpus: int
    cpu_millicores: int
    memory_mib: int


def bought_together(order: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The capacity types of `order`, in that order; those that one limit holds for are together.

    Each is by itself but `reserved`, which goes with the type after it: autoscalers use up a reservation
    first by themselves, and how many machines it has is not known here. Under a limit of its own it would
    hold back nodes that no reservation covers.
    """
    together: list[tuple[str, ...]] = []
    for capacity in order:
        if together and together[-1] == ("reserved",):
            together[-1] = ("reserved", capacity)
        else:
            together.append((capacity,))
    return tuple(together)


def node_shares(max_nodes: int, order: Sequence[str]) -> Mapping[tuple[str, ...], int]:
    """How many of `max_nodes` nodes each of `bought_together(order)` may buy; the shares add up to it.

    They are equal, and what is left over goes to the preferred ones: no other way to share leaves more nodes
    whichever of them is sold out. Raises ValueError if one would get none.
    """
    together = bought_together(order)
    if not together or max_nodes < len(together):
        raise ValueError(f"{max_nodes} nodes cannot be shared out among {len(together)} limits")
    each, left_over = divmod(max_nodes, len(together))
    return {kinds: each + (place < left_over) for place, kinds in enumerate(together)}


@dataclass(frozen=True)
class NodePool:
    """Machines of one accelerator that scale together.

    capacity: capacity types in order of preference; min_nodes, max_nodes: of all of them together.
    disk_gib: disk to attach to each machine; None where the machine types have one of their own.
    scale_down_after_seconds: how long a machine stays empty before it is given back.
    """

    name: str
    accelerator: Accelerator
    machines: tuple[Machine, ...]
    capacity: tuple[str, ...]
    min_nodes: int
    max_nodes: int
    disk_gib: int | None
    scale_down_after_seconds: int

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of every node of the pool."""
        return {NODE_POOL_LABEL: self.name, ACCELERATOR_LABEL: self.accelerator.name}

    @property
    def node_selector(self) -> Mapping[str, str]:
        """Selector that puts a pod on this pool and no other."""
        return {NODE_POOL_LABEL: self.name}

    @property
    def taint(self) -> Taint:
        """Taint of every node of the pool; pods of the pool tolerate exactly this."""
        return GPU_TAINT

    def share(self, gpus: int) -> MachineShare:
        """CPU and memory for a replica with `gpus` GPUs: in proportion to the GPUs it takes.

        GPUs decide how many replicas a machine holds, so what is left over would serve nobody. Where the
        pool has several machine types, the smallest share counts: the replica must fit whichever is bought.
        Raises ValueError if no machine of the pool has that many GPUs.
        """
        fitting = [machine for machine in self.machines if machine.accelerator_count >= gpus]
        if not fitting:
            raise ValueError(f"no machine of pool {self.name} has {gpus} GPUs")
        shares = [machine_share(machine, gpus) for machine in fitting]
        return MachineShare(
            gpus=gpus,
            cpu_millicores=min(share.cpu_millicores for share in shares),
            memory_mib=min(share.memory_mib for share in shares),
        )


def machine_share(machine: Machine, gpus: int) -> MachineShare:
    """What a replica with `gpus` GPUs may use of this machine, in proportion to its GPUs."""
    part = SHARE_FOR_PODS * gpus / machine.accelerator_count
    return MachineShare(
        gpus=gpus,
        cpu_millicores=int(machine.allocatable_cpu_millicores * part),
        memory_mib=int(machine.allocatable_memory_mib * part),
    )
