"""Makes the plan of a checked stack."""

from __future__ import annotations

from collections.abc import Iterator

from infra.scheduling import node_shares
from sizing.cost import (
    HOURS_PER_MONTH,
    PoolCost,
    Purchase,
    ReplicaCounts,
    Span,
    always,
    machine_usd,
    nat_usd,
    pool_cost,
    token_price,
    total,
)
from sizing.hardware.cluster_prices import CLUSTER_PRICES, ClusterPrice
from sizing.hardware.machines import Machine
from sizing.packing import cheapest_machine
from stacks.config import Model, NodePool, Stack, ineffective
from stacks.plan.canary import deployed
from stacks.plan.catalogue import pool_machines, sold, system_machine
from stacks.plan.chat import chat_format_of
from stacks.plan.cheaper import cheaper_machine
from stacks.plan.figures import FixedCost, ModelPlan, Plan, PoolPlan, PriceSource
from stacks.plan.sizing import capacity_of, facts_of, fit_of, replicas_expected, replicas_idle

NEVER_INCLUDED = (
    "network traffic: to the internet, between zones, through NAT",
    "the gateway's load balancer",
    "disks of system machines, of metrics and of model caches",
    "logs and managed monitoring",
    "taxes, support plans, and discounts for commitments",
)
"""What a bill has and a plan has not: it follows traffic or contracts, not the stack file."""

GB_PER_GIB = 1024**3 / 1e9


def machine_for(pool: NodePool, stack: Stack) -> Machine:
    """The machine that `pool` buys: the cheapest of its types that holds the largest replica.

    The stack must have passed stacks.validate, which refuses a pool where no type does.
    """
    gpus = max((model.tensor_parallel for model in _served(pool, stack)), default=1)
    chosen = cheapest_machine(pool_machines(pool, stack), gpus)
    if chosen is None:
        raise ValueError(f"no machine type of pool {pool.name} has {gpus} GPUs")
    return chosen


def _served(pool: NodePool, stack: Stack) -> list[Model]:
    return [model for model in deployed(stack) if model.node_pool == pool.name]


def make_plan(stack: Stack) -> Plan:
    """The plan of a checked stack."""
    cluster_price = _cluster_price(stack)
    costs = {pool.name: _pool_cost(pool, stack, cluster_price) for pool in stack.node_pools}
    pools = {pool.name: pool for pool in stack.node_pools}
    plans = tuple(_plan_pool(pool, costs[pool.name], stack, cluster_price) for pool in stack.node_pools)
    fixed = tuple(_fixed_costs(stack, cluster_price, total(pool.machines for pool in plans)))
    return Plan(
        cluster=stack.cluster.name,
        provider=stack.cluster.provider,
        region=None if stack.cluster.charges is None else stack.cluster.charges.region,
        kubernetes=stack.cluster.kubernetes,
        models=tuple(
            _plan_model(model, pools[model.node_pool], costs[model.node_pool], stack)
            for model in deployed(stack)
        ),
        pools=plans,
        fixed=fixed,
        utilization=stack.utilization,
        budget=stack.budget,
        prices=tuple(_price_sources(stack, costs, cluster_price)),
        spot_without_price=tuple(_spot_without_price(stack, costs)),
        not_included=_not_included(stack),
        no_effect_yet=tuple(ineffective(stack)),
    )


def _cluster_price(stack: Stack) -> ClusterPrice | None:
    return CLUSTER_PRICES.get(stack.cluster.provider)


def _disk_usd(pool: NodePool, price: ClusterPrice | None) -> float:
    """The attached disk of one machine per hour."""
    if pool.disk_gib is None or price is None:
        return 0.0
    return pool.disk_gib * GB_PER_GIB * price.attached_disk_usd_per_gb_month / HOURS_PER_MONTH


def _pool_cost(pool: NodePool, stack: Stack, price: ClusterPrice | None) -> PoolCost:
    purchase = Purchase(
        machines=tuple(pool_machines(pool, stack)),
        capacity=node_shares(pool.max_nodes, sold(pool, stack.cluster)),
        min_nodes=pool.min_nodes,
        max_nodes=pool.max_nodes,
        warm_nodes=pool.warm_nodes,
        disk_usd_per_hour=_disk_usd(pool, price),
    )
    served = _served(pool, stack)
    return pool_cost(
        purchase,
        {
            model.name: ReplicaCounts(
                gpus=model.tensor_parallel,
                minimum=replicas_idle(model),
                expected=replicas_expected(model, capacity_of(model, pool.accelerator)),
                maximum=model.replicas.max,
            )
            for model in served
        },
    )


def _plan_model(model: Model, pool: NodePool, cost: PoolCost, stack: Stack) -> ModelPlan:
    capacity = capacity_of(model, pool.accelerator)
    replicas = replicas_expected(model, capacity)
    usd = cost.by_model[model.name]
    load = model.expected_load
    return ModelPlan(
        name=model.name,
        model=model.model,
        engine=model.engine,
        node_pool=model.node_pool,
        machine=cost.machine.name,
        accelerator=pool.accelerator,
        tensor_parallel=model.tensor_parallel,
        max_num_seqs=capacity.max_num_seqs,
        requests_per_second=capacity.planned_rate,
        timing=capacity.basis,
        replicas_min=replicas_idle(model),
        replicas_expected=replicas,
        replicas_max=model.replicas.max,
        usd_per_hour=usd,
        tokens=token_price(
            usd.expected / replicas,
            capacity.requests_per_second,
            load.prompt_tokens * load.inputs,
            load.output_tokens,
            stack.utilization,
        ),
        fit=fit_of(model, cost.machine),
        chat=chat_format_of(model, facts_of(model)) if model.task == "generate" else None,
        cheaper=cheaper_machine(model, pool, cost.machine, stack),
    )


def _plan_pool(pool: NodePool, cost: PoolCost, stack: Stack, price: ClusterPrice | None) -> PoolPlan:
    capacity = sold(pool, stack.cluster)
    return PoolPlan(
        name=pool.name,
        machine=cost.machine.name,
        usd_per_machine_hour=machine_usd(cost.machine, capacity[0]) + _disk_usd(pool, price),
        gpus_per_machine=cost.machine.accelerator_count,
        cpus_per_machine=cost.machine.cpus,
        max_nodes_by_capacity={
            " or ".join(kinds): nodes for kinds, nodes in node_shares(pool.max_nodes, capacity).items()
        },
        capacity_not_sold=tuple(kind for kind in pool.capacity if kind not in capacity),
        machines=cost.machines,
        warm_machines=cost.warm_machines,
        gpus=cost.gpus,
        usd_per_hour=cost.usd,
        warm_usd_per_hour=cost.warm_usd,
    )


def _fixed_costs(stack: Stack, price: ClusterPrice | None, gpu_machines: Span) -> Iterator[FixedCost]:
    charges = stack.cluster.charges
    if price is None or charges is None:
        return
    yield FixedCost("control plane", always(price.control_plane_usd_per_hour))
    system = charges.system_nodes
    each = system_machine(system.machine_type, stack).price_per_hour_usd
    yield FixedCost(f"{system.count} x {system.machine_type} for the system", always(system.count * each))
    gateways = charges.nat_gateways
    label = "NAT gateway" if gateways == 1 else f"{gateways} NAT gateways"
    yield FixedCost(label, nat_usd(price, gateways, gpu_machines + always(system.count)))


def _price_sources(
    stack: Stack, costs: dict[str, PoolCost], price: ClusterPrice | None
) -> Iterator[PriceSource]:
    for cost in costs.values():
        yield PriceSource(cost.machine.name, cost.machine.region, cost.machine.as_of)
    charges = stack.cluster.charges
    if price is not None and charges is not None:
        row = system_machine(charges.system_nodes.machine_type, stack)
        yield PriceSource(row.name, row.region, row.as_of)
        yield PriceSource("control plane and NAT", price.region, price.as_of)


def _spot_without_price(stack: Stack, costs: dict[str, PoolCost]) -> Iterator[str]:
    for pool in stack.node_pools:
        machine = costs[pool.name].machine
        if "spot" in sold(pool, stack.cluster) and machine.spot_price_per_hour_usd is None:
            yield machine.name


def _not_included(stack: Stack) -> tuple[str, ...]:
    if stack.cluster.charges is not None:
        return NEVER_INCLUDED
    return ("control plane, system machines and NAT: this cluster is not bought here", *NEVER_INCLUDED)
