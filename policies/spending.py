"""What the node autoscalers may spend: the limits of registered pools, times the prices of their machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import floor
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from policies.node_pools import NodePool
from policies.stack_configuration import section
from sizing.cost import HOURS_PER_MONTH, machine_usd
from sizing.hardware.machines import (
    CLOUDS,
    REFERENCE_REGIONS,
    SHAPES,
    SYSTEM_SHAPES,
    Cloud,
    Machine,
    SystemMachine,
    machines_in,
    system_machines_in,
)
from sizing.labels import GPU_RESOURCE

CAPACITY_TYPE = "karpenter.sh/capacity-type"

STACK = "stack"
"""What reports and waivers call all pools together."""


class StackBudget(BaseModel):
    """The section `budget` of a stack file, as far as the rules need it."""

    monthly_usd: float
    if_maximum_exceeds: Literal["refuse", "warn"] = "refuse"


class StackPrice(BaseModel):
    """An entry of `price_overrides` of a stack file."""

    machine_type: str
    usd_per_hour: float
    spot_usd_per_hour: float | None = None
    as_of: date


class StackCluster(BaseModel):
    """The section `cluster` of a stack file, as far as prices follow it."""

    provider: str
    region: str | None = None


@dataclass(frozen=True)
class PricedMachine:
    """A machine type. usd_per_hour: of the whole machine, by how it is bought; on-demand always."""

    name: str
    gpus: int
    cpus: int
    usd_per_hour: Mapping[str, float]
    as_of: date

    def dearest(self, kinds: Iterable[str]) -> float:
        """The highest price among these ways of buying; where one has none, that of on-demand holds.

        Of all ways where none is named: a pool whose list of them is empty says nothing.
        """
        prices = [self.usd_per_hour.get(kind, self.usd_per_hour["on-demand"]) for kind in kinds]
        return max(prices or self.usd_per_hour.values())


@dataclass(frozen=True)
class Spending:
    """The most that one pool may spend, dollars per hour, and the machines that this takes."""

    pool: str
    machine: PricedMachine
    machines: int
    usd_per_hour: float


class UnboundedError(ValueError):
    """Nobody can say what the pool may spend; the message says why."""


def stack_budget() -> StackBudget | None:
    """The budget in the configuration of the stack; None if it has none, or another program's."""
    return section("budget", TypeAdapter(StackBudget))


def stack_prices() -> Mapping[str, StackPrice]:
    """Prices in the configuration of the stack, by machine type."""
    found = section("price_overrides", TypeAdapter(list[StackPrice]))
    return {} if found is None else {price.machine_type: price for price in found}


def stack_regions() -> Mapping[Cloud, str]:
    """The region whose prices hold, by cloud: that of the stack's cluster, or the reference."""
    cluster = section("cluster", TypeAdapter(StackCluster))
    if cluster is None or cluster.region is None or cluster.provider not in CLOUDS:
        return REFERENCE_REGIONS
    return {**REFERENCE_REGIONS, cluster.provider: cluster.region}


def prices() -> Mapping[str, PricedMachine]:
    """Machine types with the price that holds for this stack."""
    overridden = stack_prices()
    where = stack_regions()
    rows = {
        **{
            name: _with_gpus(machine)
            for cloud in CLOUDS
            for name, machine in machines_in(cloud, where[cloud]).items()
        },
        **{
            name: _without_gpus(machine)
            for cloud in CLOUDS
            for name, machine in system_machines_in(cloud, where[cloud]).items()
        },
    }
    sizes = {
        **{name: (shape.accelerator_count, shape.cpus) for name, shape in SHAPES.items()},
        **{name: (0, shape.cpus) for name, shape in SYSTEM_SHAPES.items()},
    }
    own = {
        name: _overridden(name, *sizes[name], price) for name, price in overridden.items() if name in sizes
    }
    return {**rows, **own}


def _with_gpus(machine: Machine) -> PricedMachine:
    kinds = ("reserved", "on-demand", "spot")
    return PricedMachine(
        name=machine.name,
        gpus=machine.accelerator_count,
        cpus=machine.cpus,
        usd_per_hour={kind: machine_usd(machine, kind) for kind in kinds},
        as_of=machine.as_of,
    )


def _without_gpus(machine: SystemMachine) -> PricedMachine:
    price = {"on-demand": machine.price_per_hour_usd}
    return PricedMachine(machine.name, 0, machine.cpus, price, machine.as_of)


def _overridden(name: str, gpus: int, cpus: int, price: StackPrice) -> PricedMachine:
    spot = {} if price.spot_usd_per_hour is None else {"spot": price.spot_usd_per_hour}
    return PricedMachine(name, gpus, cpus, {"on-demand": price.usd_per_hour, **spot}, price.as_of)


def priced_machines(pool: NodePool) -> list[PricedMachine]:
    """Machine types that the pool may buy, with their prices. Raises UnboundedError if one has none."""
    known = prices()
    names = pool.machine_names() or {machine.name for machine in pool.machines()}
    unknown = sorted(name for name in names if name not in known)
    if unknown:
        raise UnboundedError(
            f"the price of {', '.join(unknown)} is not known: add it to sizing/hardware/data or to "
            "price_overrides"
        )
    if not names:
        raise UnboundedError(
            "it names no machine types, so it may buy any: list them under the requirement "
            "node.kubernetes.io/instance-type"
        )
    return [known[name] for name in sorted(names)]


def most(pool: NodePool) -> Spending:
    """What the pool costs when it has reached its limits with the machines that then cost most.

    Raises UnboundedError, and what policies.properties raises.
    """
    machines = priced_machines(pool)
    kinds = pool.labels().get(CAPACITY_TYPE, frozenset({"on-demand"}))
    candidates = []
    for machine in machines:
        counts = list(_counts(pool, machine))
        if not counts:
            raise UnboundedError(
                "it has no limits: the autoscaler may buy without end. Set spec.limits.nodes"
            )
        candidates.append(Spending(pool.identity, machine, min(counts), min(counts) * machine.dearest(kinds)))
    return max(candidates, key=lambda spending: spending.usd_per_hour)


def _counts(pool: NodePool, machine: PricedMachine) -> Iterator[int]:
    """How many of these machines each limit allows."""
    sizes = {"nodes": 1, GPU_RESOURCE: machine.gpus, "cpu": machine.cpus}
    for resource, size in sizes.items():
        limit = pool.limit(resource)
        if limit is not None and size > 0:
            yield floor(limit / size)


def over_budget(spent: Sequence[Spending], monthly_usd: float) -> str | None:
    """How the most that pools may spend exceeds a budget; None if it does not."""
    per_hour = sum(spending.usd_per_hour for spending in spent)
    per_month = per_hour * HOURS_PER_MONTH
    if per_month <= monthly_usd:
        return None
    parts = ", ".join(
        f"{spending.pool} {spending.machines} x {spending.machine.name} {spending.usd_per_hour:.2f} $/h"
        for spending in spent
    )
    return (
        f"node pools may reach {per_hour:.2f} $/h, {per_month:,.0f} $/month, and the budget is "
        f"{monthly_usd:,.0f} $/month ({parts})"
    )
