"""Node pools: the objects that are registered, the machines they buy, and what these cost."""

from __future__ import annotations

from collections.abc import Sequence

from infra.scheduling import NodePool, node_shares
from sizing.cost import HOURS_PER_MONTH, PoolCost, Purchase, ReplicaCounts, machine_usd, pool_cost
from sizing.hardware.accelerators import accelerator
from sizing.hardware.cluster_prices import ClusterPrice
from sizing.packing import machines_needed
from stacks.config import NodePool as PoolSection
from stacks.config import Stack
from stacks.plan.catalogue import pool_machines, sold
from stacks.plan.figures import PoolPlan
from stacks.plan.sizing import Sized

GB_PER_GIB = 1024**3 / 1e9


def node_pool(section: PoolSection, stack: Stack) -> NodePool:
    """The pool that this section of `stack` describes."""
    return NodePool(
        name=section.name,
        accelerator=accelerator(section.accelerator),
        machines=tuple(pool_machines(section, stack)),
        capacity=sold(section, stack.cluster),
        min_nodes=section.min_nodes,
        max_nodes=section.max_nodes,
        disk_gib=section.disk_gib,
        scale_down_after_seconds=section.scale_down_after_seconds,
    )


def purchase_of(section: PoolSection, pool: NodePool, price: ClusterPrice | None) -> Purchase:
    """How `pool` buys machines."""
    return Purchase(
        machines=pool.machines,
        capacity=node_shares(pool.max_nodes, pool.capacity),
        min_nodes=pool.min_nodes,
        max_nodes=pool.max_nodes,
        warm_nodes=section.warm_nodes,
        disk_usd_per_hour=_disk_usd(pool, price),
    )


def cost_of(purchase: Purchase, served: Sequence[Sized]) -> PoolCost:
    """Machines and cost of a pool that buys like this, for the Deployments that it serves."""
    return pool_cost(
        purchase,
        {
            sized.section.name: ReplicaCounts(
                gpus=sized.section.tensor_parallel,
                minimum=sized.replicas_idle,
                expected=sized.replicas_expected,
                maximum=sized.section.replicas.max,
            )
            for sized in served
        },
    )


def surge(sized: Sized, pool: NodePool, served: Sequence[Sized], cost: PoolCost) -> int:
    """1 if the pool has room for one more replica with every Deployment at its maximum, otherwise 0.

    A surge replica that finds no machine would never start, and the update would not end.
    """
    gpus = [other.section.tensor_parallel for other in served for _ in range(other.section.replicas.max)]
    needed = machines_needed([*gpus, sized.section.tensor_parallel], cost.machine.accelerator_count)
    return 1 if needed <= pool.max_nodes else 0


def plan_pool(section: PoolSection, pool: NodePool, cost: PoolCost, price: ClusterPrice | None) -> PoolPlan:
    """The pool with its figures."""
    shares = node_shares(pool.max_nodes, pool.capacity)
    return PoolPlan(
        node_pool=pool,
        warm_nodes=section.warm_nodes,
        warm_capacity=section.warm_capacity,
        machine=cost.machine.name,
        usd_per_machine_hour=machine_usd(cost.machine, pool.capacity[0]) + _disk_usd(pool, price),
        gpus_per_machine=cost.machine.accelerator_count,
        max_nodes_by_capacity={" or ".join(kinds): nodes for kinds, nodes in shares.items()},
        capacity_not_sold=tuple(kind for kind in section.capacity if kind not in pool.capacity),
        machines=cost.machines,
        warm_machines=cost.warm_machines,
        gpus=cost.gpus,
        usd_per_hour=cost.usd,
        warm_usd_per_hour=cost.warm_usd,
    )


def _disk_usd(pool: NodePool, price: ClusterPrice | None) -> float:
    """The attached disk of one machine per hour, of the most expensive type where its machines differ."""
    if pool.disk_gib is None or price is None:
        return 0.0
    each = max(price.attached_disk_usd_per_gb_month[machine.attached_disk] for machine in pool.machines)
    return pool.disk_gib * GB_PER_GIB * each / HOURS_PER_MONTH
