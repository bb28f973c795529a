"""Rules of `node_pools`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.kubernetes_version import CAPACITY_BUFFERS
from infra.scheduling import bought_together
from sizing.choices import valid_choices
from sizing.hardware.accelerators import ACCELERATORS
from sizing.hardware.machines import SHAPES, MachineShape, shapes_with
from sizing.hardware.regions import nearest, regions_of
from sizing.packing import cheapest_machine, machines_needed
from stacks.config import Cluster, Model, NodePool, Stack
from stacks.plan.canary import deployed
from stacks.plan.catalogue import pool_machines, sold
from stacks.plan.sizing import replicas_idle
from stacks.problems import Problem
from stacks.validate.names import duplicates
from stacks.validate.prices import unpriced

PROMISES_TO_BE_THERE = 0.99
"""Availability from which a model is a production endpoint here: no more than 7 hours away per month. Spot
machines are taken with two minutes' notice and may not come back for hours, so they alone cannot keep it."""


def check_pool(path: str, pool: NodePool, stack: Stack) -> Iterator[Problem]:
    served = [model for model in deployed(stack) if model.node_pool == pool.name]
    yield from duplicates(f"{path}.machine_types", pool.machine_types)
    yield from _check_minimum(path, pool, stack.cluster)
    yield from _check_machine_types(path, pool, stack)
    yield from _check_capacity(f"{path}.capacity", pool, stack.cluster, served)
    yield from _check_order(path, pool, stack.cluster)
    yield from _check_disk(path, pool, stack.cluster)
    yield from _check_room(path, pool, served, stack)
    yield from _check_warm_capacity(path, pool, stack.cluster)
    yield from _check_warm_nodes(path, pool, served, stack)


def _check_minimum(path: str, pool: NodePool, cluster: Cluster) -> Iterator[Problem]:
    if pool.min_nodes > pool.max_nodes:
        yield Problem(
            f"{path}.min_nodes",
            f"{pool.min_nodes} is above max_nodes {pool.max_nodes}: lower one or raise the other",
        )
    elif pool.min_nodes > 0 and cluster.buys_with_karpenter:
        yield Problem(
            f"{path}.min_nodes",
            f"{pool.min_nodes} is not possible: Karpenter starts machines for pods only. Set 0; "
            "replicas.min of a model keeps machines running",
        )


def _check_machine_types(path: str, pool: NodePool, stack: Stack) -> Iterator[Problem]:
    if pool.accelerator not in ACCELERATORS:
        choices = valid_choices(pool.accelerator, ACCELERATORS)
        yield Problem(f"{path}.accelerator", f'"{pool.accelerator}" is unknown: {choices}')
        return
    clouds = stack.cluster.clouds
    fitting = [machine.name for machine in shapes_with(pool.accelerator, clouds)]
    for index, name in enumerate(pool.machine_types):
        place = f"{path}.machine_types[{index}]"
        if name not in fitting:
            known = SHAPES.get(name)
            reason = "is unknown"
            if known is not None:
                reason = f"carries {known.accelerator}" if known.cloud in clouds else f"is of {known.cloud}"
            choices = valid_choices(name, fitting)
            yield Problem(place, f'"{name}" {reason}, and the pool is {pool.accelerator}: {choices}')
        elif (elsewhere := _not_sold_there(SHAPES[name], stack.cluster, fitting)) is not None:
            yield Problem(place, elsewhere)
        elif (without := unpriced(name, SHAPES[name].cloud, stack, fitting)) is not None:
            yield Problem(place, without)


def _not_sold_there(shape: MachineShape, cluster: Cluster, fitting: Sequence[str]) -> str | None:
    """Why a machine type cannot be bought in the cluster's region, and what can; None if it may be."""
    if cluster.charges is None:
        return None
    region, known = cluster.charges.region, regions_of(shape.cloud)
    sellers = known.sellers(shape.name)
    if sellers is None or region not in known.regions or known.sells(shape.name, region):
        return None
    others = [name for name in fitting if region in (known.sellers(name) or ())]
    instead = f"Sold there: {', '.join(others)}" if others else f"No machine with {shape.accelerator} is"
    return (
        f'"{shape.name}" is not sold in {region} (price list of {known.as_of}). {instead}. Regions that have '
        f"it: {', '.join(nearest(region, sellers))}"
    )


def _check_capacity(path: str, pool: NodePool, cluster: Cluster, served: list[Model]) -> Iterator[Problem]:
    yield from duplicates(path, pool.capacity)
    # A reservation that nothing is known of may hold no machine: what else is named has to do.
    kinds = set(sold(pool, cluster)) - (set() if cluster.reservations_known else {"reserved"})
    yield from _check_ways_to_buy(path, pool)
    if not kinds:
        yield Problem(
            path,
            "only reserved is not possible: nothing is known of reservations with cluster.provider "
            f"{cluster.provider}. Add on-demand or spot",
        )
    promised = [model for model in served if model.slo.availability >= PROMISES_TO_BE_THERE]
    if kinds == {"spot"} and promised:
        names = ", ".join(f"{model.name} ({model.slo.availability:g})" for model in promised)
        yield Problem(
            path,
            f"only spot is not enough for {names}: spot machines are taken away at two minutes' notice, and "
            f"may stay away. Add on-demand, or promise a slo.availability below {PROMISES_TO_BE_THERE}",
        )


def _check_ways_to_buy(path: str, pool: NodePool) -> Iterator[Problem]:
    """A capacity type that a machine type is not sold as buys nothing, and its price would be made up."""
    for shape in (SHAPES[name] for name in pool.machine_types if name in SHAPES):
        missing = [kind for kind in dict.fromkeys(pool.capacity) if kind not in shape.sold]
        if missing:
            yield Problem(
                path,
                f"{', '.join(missing)} is not possible: {shape.name} is sold as {' and '.join(shape.sold)} "
                "only. Name these, or another machine type",
            )


def _check_order(path: str, pool: NodePool, cluster: Cluster) -> Iterator[Problem]:
    """Karpenter keeps an order by shares of max_nodes; other autoscalers only use up reservations first."""
    order = tuple(dict.fromkeys(sold(pool, cluster)))
    together = bought_together(order)
    listed = " before ".join(order)
    if not cluster.buys_with_karpenter:
        if order not in (order[:1], ("reserved", "on-demand")):
            yield Problem(
                f"{path}.capacity",
                f"{listed} is not possible: only Karpenter buys in this order. Name one type, or reserved "
                "and then on-demand",
            )
    elif pool.max_nodes < len(together):
        yield Problem(
            f"{path}.max_nodes",
            f"{pool.max_nodes} is not enough for capacity {listed}: max_nodes is shared out, and each share "
            f"is at least one node. Raise max_nodes to {len(together)} or remove a type from capacity",
        )


def _check_disk(path: str, pool: NodePool, cluster: Cluster) -> Iterator[Problem]:
    if pool.disk_gib is not None and not cluster.attaches_disks:
        yield Problem(
            f"{path}.disk_gib",
            f"{pool.disk_gib} is not possible: no disk is attached to nodes of a {cluster.provider} cluster. "
            "Leave it out",
        )
    if pool.disk_gib is not None:
        return
    without = [name for name in pool.machine_types if name in SHAPES and SHAPES[name].local_disk_gb == 0]
    if without:
        yield Problem(
            f"{path}.disk_gib",
            f"required for {', '.join(without)}, which has no disk of its own: the size in GiB of the disk "
            "to attach, at least the image (about 20) and the weights, twice",
        )


def _check_room(path: str, pool: NodePool, served: list[Model], stack: Stack) -> Iterator[Problem]:
    """The pool must hold every model at its maximum, or scaling up ends in pods that wait for ever."""
    largest = max((model.tensor_parallel for model in served), default=0)
    machine = cheapest_machine(pool_machines(pool, stack), gpus=largest)
    if machine is None:
        return
    replicas = [model.tensor_parallel for model in served for _ in range(model.replicas.max)]
    needed = machines_needed(replicas, machine.accelerator_count)
    if needed > pool.max_nodes:
        maxima = ", ".join(f"{model.name} {model.replicas.max}" for model in served)
        yield Problem(
            f"{path}.max_nodes",
            f"{pool.max_nodes} machines cannot hold all replicas at replicas.max ({maxima}): that takes "
            f"{needed} x {machine.name}. Raise max_nodes to {needed} or lower replicas.max",
        )


def _check_warm_capacity(path: str, pool: NodePool, cluster: Cluster) -> Iterator[Problem]:
    if pool.warm_capacity not in cluster.keeps_warm_with:
        yield Problem(
            f"{path}.warm_capacity",
            f"{pool.warm_capacity} is not possible: it needs Karpenter, or Cluster Autoscaler and a "
            f"cluster.version of {CAPACITY_BUFFERS} or newer. Use {' or '.join(cluster.keeps_warm_with)}",
        )


def _check_warm_nodes(path: str, pool: NodePool, served: list[Model], stack: Stack) -> Iterator[Problem]:
    """Warm machines that the pool's limit never lets it buy would be paid for by nobody and missed by all."""
    largest = max((model.tensor_parallel for model in served), default=1)
    machine = cheapest_machine(pool_machines(pool, stack), gpus=largest)
    if machine is None or pool.warm_nodes == 0:
        return
    replicas = [model.tensor_parallel for model in served for _ in range(replicas_idle(model))]
    in_use = machines_needed(replicas, machine.accelerator_count)
    if in_use + pool.warm_nodes > pool.max_nodes:
        yield Problem(
            f"{path}.warm_nodes",
            f"{pool.warm_nodes} warm machines and the {in_use} that models need without load are above "
            f"max_nodes {pool.max_nodes}: raise max_nodes to {in_use + pool.warm_nodes} or lower warm_nodes "
            f"to {max(pool.max_nodes - in_use, 0)}",
        )
