"""What a million tokens cost at a given rate of requests: the bill of whole machines over the tokens served.

One figure at a fixed utilization says what a replica asks that is always half full. This says what is paid
when so many requests come. Replicas are whole, and so are the machines that hold them; hot spares, the least
number of replicas, warm machines and the least number of machines are paid for at every rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from sizing.cost import Purchase, TokenPrice, bill_alone, token_price
from sizing.hardware.machines import Machine
from sizing.packing import cheapest_machine

RATES = (1.0, 3.0, 10.0, 30.0)
"""Requests per second that a plan shows: half a decade apart, from an internal tool to a product."""


@dataclass(frozen=True)
class Served:
    """A model by itself on a pool, as autoscalers scale it.

    planned_rate: requests per second that a replica is planned for. gpus: of a replica. minimum, maximum:
    bounds of its replicas. spares: replicas kept ready beyond those that the rate needs. prompt_tokens,
    output_tokens: of a request; output_tokens is 0 for a model that generates none.
    """

    planned_rate: float
    gpus: int
    minimum: int
    maximum: int
    spares: int
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class AtRate:
    """Replicas, machines (warm ones included), US dollars per hour and per million tokens at that rate."""

    requests_per_second: float
    replicas: int
    machines: int
    usd_per_hour: float
    tokens: TokenPrice


@dataclass(frozen=True)
class Curve:
    """points: at each rate, None where the bounds do not carry it. most: requests/s that they carry."""

    points: tuple[tuple[float, AtRate | None], ...]
    most: float


def curve(model: Served, purchase: Purchase, rates: Iterable[float] = RATES) -> Curve:
    """The price of tokens at these rates, with `model` alone on the pool that is bought like this.

    Raises ValueError if no machine type holds a replica.
    """
    machine = cheapest_machine(purchase.machines, model.gpus)
    if machine is None:
        raise ValueError(f"no machine type has {model.gpus} GPUs")
    held = purchase.max_nodes * (machine.accelerator_count // model.gpus)
    most = min(model.maximum, held)
    return Curve(
        points=tuple((rate, _at(rate, model, purchase, machine, most)) for rate in rates),
        most=max(most - model.spares, 0) * model.planned_rate,
    )


def replicas_for(rate: float, model: Served) -> int:
    """Replicas that the rate needs, hot spares included, whatever the bounds."""
    return ceil(rate / model.planned_rate) + model.spares


def _at(rate: float, model: Served, purchase: Purchase, machine: Machine, most: int) -> AtRate | None:
    needed = replicas_for(rate, model)
    if needed > most:
        return None
    replicas = max(needed, min(model.minimum, most))
    bill = bill_alone(purchase, machine, model.gpus, replicas)
    return AtRate(
        requests_per_second=rate,
        replicas=replicas,
        machines=bill.machines,
        usd_per_hour=bill.usd,
        # Not divided by a utilization: the rate says how full the replicas are.
        tokens=token_price(bill.usd, rate, model.prompt_tokens, model.output_tokens, utilization=1.0),
    )
