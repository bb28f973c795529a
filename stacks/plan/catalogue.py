"""The machines that an environment may buy, with the prices that hold for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sizing.hardware.machines import (
    REFERENCE_REGIONS,
    SHAPES,
    SYSTEM_SHAPES,
    Cloud,
    Machine,
    MachineShape,
    SystemMachine,
    machines_in,
    system_machines_in,
)
from stacks.config import Capacity, Cluster, NodePool, PriceOverride, Stack

OVERRIDDEN = "price_overrides"
"""Stands for the region of a price that the stack states itself: it holds wherever the cluster is."""


def price_region(cluster: Cluster, cloud: Cloud) -> str:
    """Whose prices hold for machines of `cloud`: the cluster's region, or the reference where it has none."""
    charges = cluster.charges
    return REFERENCE_REGIONS[cloud] if charges is None else charges.region


def catalogue(stack: Stack) -> Mapping[str, Machine]:
    """Every machine type with a price where the cluster is, by name; price_overrides come first."""
    listed = {
        name: row
        for cloud in stack.cluster.clouds
        for name, row in machines_in(cloud, price_region(stack.cluster, cloud)).items()
    }
    overridden = {
        override.machine_type: _priced(SHAPES[override.machine_type], override)
        for override in stack.price_overrides
        if override.machine_type in SHAPES
    }
    return {**listed, **overridden}


def _priced(shape: MachineShape, override: PriceOverride) -> Machine:
    return Machine(
        **vars(shape),
        price_per_hour_usd=override.usd_per_hour,
        spot_price_per_hour_usd=override.spot_usd_per_hour,
        region=OVERRIDDEN,
        as_of=override.as_of,
        source=override.source,
    )


def with_prices_stated(stack: Stack) -> Stack:
    """The same stack with the prices of its machines as price_overrides, so that they hold on any cluster."""
    machines = catalogue(stack)
    names = dict.fromkeys(name for pool in stack.node_pools for name in pool.machine_types)
    stated = tuple(
        PriceOverride(
            machine_type=name,
            usd_per_hour=machines[name].price_per_hour_usd,
            spot_usd_per_hour=machines[name].spot_price_per_hour_usd,
            as_of=machines[name].as_of,
            source=machines[name].source,
        )
        for name in names
        if name in machines
    )
    return stack.model_copy(update={"price_overrides": stated})


def sold(pool: NodePool, cluster: Cluster) -> tuple[Capacity, ...]:
    """The capacity types of `pool` that `cluster` sells, in their order."""
    return tuple(capacity for capacity in pool.capacity if capacity in cluster.sells)


def pool_machines(pool: NodePool, stack: Stack) -> list[Machine]:
    """Machine types of `pool` whose price is known. An attached disk counts as the machine's own."""
    machines = catalogue(stack)
    return [_with_disk(machines[name], pool) for name in pool.machine_types if name in machines]


def _with_disk(machine: Machine, pool: NodePool) -> Machine:
    if machine.local_disk_gb > 0 or pool.disk_gib is None:
        return machine
    return replace(machine, local_disk_gb=int(pool.disk_gib * 1024**3 / 1e9))


def system_machine(name: str, stack: Stack) -> SystemMachine:
    """The machine type of the system nodes, with the price that holds for this environment."""
    shape = SYSTEM_SHAPES[name]
    for override in stack.price_overrides:
        if override.machine_type == name:
            return SystemMachine(
                **vars(shape),
                price_per_hour_usd=override.usd_per_hour,
                region=OVERRIDDEN,
                as_of=override.as_of,
                source=override.source,
            )
    return system_machines_in(shape.cloud, price_region(stack.cluster, shape.cloud))[name]
