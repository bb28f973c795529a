"""Which machine would serve a model for less, of all that the same cloud sells."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from infra.scheduling import machine_share
from sizing.hardware.accelerators import ACCELERATORS
from sizing.hardware.machines import Machine
from sizing.packing import machines_needed
from stacks.config import Model, NodePool, Stack
from stacks.plan.catalogue import catalogue
from stacks.plan.sizing import can_be_split, capacity_of, facts_of, fit_of, replicas_expected

WORTH_SAYING = 0.85
"""A machine is named only if it costs at most this share. Step times are right to 8 to 31 %, and a change of
machine is work."""

TENSOR_PARALLEL = (1, 2, 4, 8)


@dataclass(frozen=True)
class Cheaper:
    """A machine on which the model alone would cost less under its expected load.

    usd_per_hour: there. instead_of_usd_per_hour: on the pool's machine, alone too.
    """

    machine: str
    tensor_parallel: int
    replicas: int
    usd_per_hour: float
    instead_of_usd_per_hour: float
    timing: str


def cheaper_machine(model: Model, pool: NodePool, machine: Machine, stack: Stack) -> Cheaper | None:
    """The cheapest way to serve `model`, if it is worth saying; `machine` is what its pool buys."""
    replicas = replicas_expected(model, capacity_of(model, pool.accelerator))
    sizes = [model.tensor_parallel] * replicas
    now = machines_needed(sizes, machine.accelerator_count) * machine.price_per_hour_usd
    best: Cheaper | None = None
    machines = [row for row in catalogue(stack).values() if row.cloud == machine.cloud]
    for accelerator in ACCELERATORS:
        carrying = [row for row in machines if row.accelerator == accelerator]
        if not carrying:
            continue
        for degree in TENSOR_PARALLEL:
            option = _cheapest(model.model_copy(update={"tensor_parallel": degree}), carrying, now)
            if option is not None and (best is None or option.usd_per_hour < best.usd_per_hour):
                best = option
    return best if best is not None and best.usd_per_hour <= WORTH_SAYING * now else None


def _cheapest(model: Model, machines: list[Machine], now: float) -> Cheaper | None:
    """The cheapest of these machines, which all carry one accelerator, if the model can be served on it."""
    degree = model.tensor_parallel
    # One machine is the least that can be paid: dear ones need no look at the model.
    able = [
        machine
        for machine in machines
        if machine.accelerator_count >= degree and machine.price_per_hour_usd <= WORTH_SAYING * now
    ]
    # A checkpoint passes through the memory of the host on its way to the GPU.
    facts = facts_of(model)
    able = [
        machine for machine in able if machine_share(machine, degree).memory_mib / 1024 >= facts.download_gib
    ]
    if not able or not can_be_split(facts, degree):
        return None
    capacity = capacity_of(model, able[0].accelerator)
    if capacity.batch < 1 or capacity.lowest_ttft_seconds > model.slo.ttft.seconds:
        return None
    # Not bounded by replicas.max: on another machine it would be another number.
    load = ceil(model.expected_load.requests_per_second / capacity.planned_rate) + model.warm_replicas
    replicas = max(load, model.replicas.min)
    options = [
        Cheaper(
            machine=machine.name,
            tensor_parallel=degree,
            replicas=replicas,
            usd_per_hour=machines_needed([degree] * replicas, machine.accelerator_count)
            * machine.price_per_hour_usd,
            instead_of_usd_per_hour=now,
            timing=capacity.basis,
        )
        for machine in able
    ]
    by_name = {machine.name: machine for machine in able}
    for option in sorted(options, key=lambda option: (option.usd_per_hour, option.machine)):
        if option.usd_per_hour > WORTH_SAYING * now:
            break
        if fit_of(model, by_name[option.machine]).fits:
            return option
    return None
