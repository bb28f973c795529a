"""What a bill has besides GPU machines, where prices come from, and what a plan leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sizing.cost import PoolCost, Span, always, nat_usd
from sizing.hardware.cluster_prices import ClusterPrice
from stacks.config import Stack
from stacks.plan.catalogue import system_machine
from stacks.plan.figures import FixedCost, PriceSource

CONTROL_PLANE_AND_NAT = "control plane and NAT"

NEVER_INCLUDED = (
    "network traffic: to the internet, between zones, through NAT",
    "the gateway's load balancer",
    "disks of system machines, of metrics and of model caches",
    "logs and managed monitoring",
    "taxes, support plans, and discounts for commitments",
)
"""What a bill has and a plan has not: it follows traffic or contracts, not the stack file."""


def fixed_costs(stack: Stack, price: ClusterPrice | None, gpu_machines: Span) -> Iterator[FixedCost]:
    """Control plane, system machines and NAT, where the stack buys them."""
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


def price_sources(
    stack: Stack, costs: Iterable[PoolCost], price: ClusterPrice | None
) -> Iterator[PriceSource]:
    """Where the price of each thing that is bought comes from."""
    for cost in costs:
        yield PriceSource(cost.machine.name, cost.machine.region, cost.machine.as_of)
    charges = stack.cluster.charges
    if price is not None and charges is not None:
        row = system_machine(charges.system_nodes.machine_type, stack)
        yield PriceSource(row.name, row.region, row.as_of)
        yield PriceSource(CONTROL_PLANE_AND_NAT, price.region, price.as_of)


def not_included(stack: Stack) -> tuple[str, ...]:
    """What of the bill is not in the plan."""
    if stack.cluster.charges is not None:
        return NEVER_INCLUDED
    return ("control plane, system machines and NAT: this cluster is not bought here", *NEVER_INCLUDED)
