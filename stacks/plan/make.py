"""Makes the plan of a checked stack: everything that is computed from it is computed here, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.scheduling import NodePool
from serving.gateway.served import ServedModel
from sizing.cost import PoolCost, Purchase, token_price, total
from sizing.cost_curve import Served, curve
from sizing.hardware.cluster_prices import CLUSTER_PRICES
from sizing.hardware.machines import Machine
from stacks.config import Stack, ineffective
from stacks.plan.canary import deployed
from stacks.plan.catalogue import catalogue
from stacks.plan.cheaper import cheaper_machine
from stacks.plan.costs import fixed_costs, not_included, price_sources
from stacks.plan.figures import ModelPlan, Plan
from stacks.plan.pools import cost_of, node_pool, plan_pool, purchase_of, surge
from stacks.plan.replicas import replica
from stacks.plan.routing import served_model, served_names
from stacks.plan.scaling import scaled_model, scaling_bounds
from stacks.plan.sizing import Sized, fit_of, sized


@dataclass(frozen=True)
class _Pool:
    """A node pool, how it buys machines, the Deployments that run on it, and what it costs."""

    node_pool: NodePool
    purchase: Purchase
    served: tuple[Sized, ...]
    cost: PoolCost


def make_plan(stack: Stack) -> Plan:
    """The plan of a checked stack."""
    cluster = stack.cluster
    price = CLUSTER_PRICES.get(cluster.provider)
    accelerators = {section.name: section.accelerator for section in stack.node_pools}
    deployments = [sized(section, accelerators[section.node_pool]) for section in deployed(stack)]
    pools: dict[str, _Pool] = {}
    for section in stack.node_pools:
        pool = node_pool(section, stack)
        purchase = purchase_of(section, pool, price)
        on_it = tuple(one for one in deployments if one.section.node_pool == section.name)
        pools[section.name] = _Pool(pool, purchase, on_it, cost_of(purchase, on_it))
    models = {model.name for model in stack.models}
    served = {
        one.section.name: served_model(one, stack.gateway)
        for one in deployments
        if one.section.name in models
    }
    names = served_names(served.values())
    machines = catalogue(stack)
    planned = tuple(
        plan_pool(section, pools[section.name].node_pool, pools[section.name].cost, price)
        for section in stack.node_pools
    )
    costs = [pool.cost for pool in pools.values()]
    return Plan(
        cluster=cluster.name,
        provider=cluster.provider,
        region=None if cluster.charges is None else cluster.charges.region,
        kubernetes=cluster.kubernetes,
        models=tuple(
            _plan_model(
                one,
                pools[one.section.node_pool],
                served.get(one.section.name),
                names[one.section.name],
                machines,
                stack.utilization,
            )
            for one in deployments
        ),
        pools=planned,
        fixed=tuple(fixed_costs(stack, price, total(pool.machines for pool in planned))),
        utilization=stack.utilization,
        budget=stack.budget,
        prices=tuple(price_sources(stack, costs, price)),
        spot_without_price=tuple(
            pool.cost.machine.name
            for pool in pools.values()
            if "spot" in pool.node_pool.capacity and pool.cost.machine.spot_price_per_hour_usd is None
        ),
        not_included=not_included(stack),
        no_effect_yet=tuple(ineffective(stack)),
    )


def _plan_model(
    one: Sized,
    pool: _Pool,
    served: ServedModel | None,
    names: tuple[str, ...],
    machines: Mapping[str, Machine],
    utilization: float,
) -> ModelPlan:
    model, load = one.section, one.section.expected_load
    usd = pool.cost.by_model[model.name]
    prompt_tokens = load.prompt_tokens * load.inputs
    return ModelPlan(
        replica=replica(one, pool.node_pool, names),
        scaling=scaling_bounds(model),
        recorded=scaled_model(one),
        served=served,
        surge=surge(one, pool.node_pool, pool.served, pool.cost),
        when_asleep=model.when_asleep,
        pool=pool.node_pool,
        machine=pool.cost.machine.name,
        capacity=one.capacity,
        replicas_min=one.replicas_idle,
        replicas_expected=one.replicas_expected,
        usd_per_hour=usd,
        tokens=token_price(
            usd.expected / one.replicas_expected,
            one.capacity.requests_per_second,
            prompt_tokens,
            load.output_tokens,
            utilization,
        ),
        by_rate=curve(
            Served(
                planned_rate=one.capacity.planned_rate,
                gpus=model.tensor_parallel,
                minimum=one.replicas_idle,
                maximum=model.replicas.max,
                spares=model.warm_replicas,
                prompt_tokens=prompt_tokens,
                output_tokens=load.output_tokens,
            ),
            pool.purchase,
        ),
        fit=fit_of(model, one.facts, pool.cost.machine),
        cheaper=cheaper_machine(one, pool.cost.machine, machines),
    )
