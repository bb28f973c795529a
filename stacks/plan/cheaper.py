"""Which machine would serve a model for less, of all that the same cloud sells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from infra.scheduling import machine_share
from sizing.hardware.accelerators import ACCELERATORS, Accelerator
from sizing.hardware.machines import Machine
from sizing.models.models import Model as ModelFacts
from sizing.packing import machines_needed
from stacks.config import Model
from stacks.plan.sizing import Sized, can_be_split, capacity_of, fit_of

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


def cheaper_machine(one: Sized, machine: Machine, machines: Mapping[str, Machine]) -> Cheaper | None:
    """The cheapest way to serve a Deployment, if it is worth saying.

    machine: what its pool buys. machines: all that have a price, by name.
    """
    sizes = [one.section.tensor_parallel] * one.replicas_expected
    now = machines_needed(sizes, machine.accelerator_count) * machine.price_per_hour_usd
    best: Cheaper | None = None
    sold = [row for row in machines.values() if row.cloud == machine.cloud]
    for gpu in ACCELERATORS.values():
        carrying = [row for row in sold if row.accelerator == gpu.name]
        for degree in TENSOR_PARALLEL if carrying else ():
            model = one.section.model_copy(update={"tensor_parallel": degree})
            option = _cheapest(model, one.facts, gpu, carrying, now)
            if option is not None and (best is None or option.usd_per_hour < best.usd_per_hour):
                best = option
    return best if best is not None and best.usd_per_hour <= WORTH_SAYING * now else None


def _cheapest(
    model: Model, facts: ModelFacts, gpu: Accelerator, machines: list[Machine], now: float
) -> Cheaper | None:
    """The cheapest of these machines, which all carry `gpu`, if the model can be served on it."""
    degree = model.tensor_parallel
    # One machine is the least that can be paid: dear ones need no look at the model.
    able = [
        machine
        for machine in machines
        if machine.accelerator_count >= degree and machine.price_per_hour_usd <= WORTH_SAYING * now
    ]
    # A checkpoint passes through the memory of the host on its way to the GPU.
    able = [
        machine for machine in able if machine_share(machine, degree).memory_mib / 1024 >= facts.download_gib
    ]
    if not able or not can_be_split(facts, degree):
        return None
    capacity = capacity_of(model, facts, gpu)
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
        if fit_of(model, facts, by_name[option.machine]).fits:
            return option
    return None
