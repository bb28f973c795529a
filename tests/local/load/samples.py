"""Runs made by hand, for the tests of what is computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from local.fleet.api import Api
from local.load.arrivals import Arrival
from local.load.client import Client, Failure, Outcome
from local.load.observe import Autoscaler, Node, Replica, Sample
from local.load.run import Run
from local.load.scenario import load_scenario
from local.load.signals import TRIGGERS
from local.load.target import Target
from stacks.config import Model
from stacks.load import from_file

EPOCH = 1_790_000_000.0


def model() -> Model:
    return next(row for row in from_file("local").models if row.name == "chat")


def outcome(
    number: int = 0,
    at: float = 0.0,
    first_token: float | None = 0.2,
    gap: float = 0.03,
    tokens: int = 11,
    failure: Failure | None = None,
    late: float = 0.0,
    phase: str = "only",
    status: int = 200,
) -> Outcome:
    return Outcome(
        arrival=Arrival(number, at, phase, 100, tokens),
        sent=at + late,
        late=late,
        first_token=first_token,
        total=(first_token or 0.0) + gap * (tokens - 1),
        gaps=(gap,) * (tokens - 1),
        tokens=tokens,
        attempts=1,
        status=status,
        failure=failure,
    )


def replica(name: str, created: float = 0.0, ready: float | None = 0.0, leaving: bool = False) -> Replica:
    return Replica(
        name, f"node-of-{name}", EPOCH + created, None if ready is None else EPOCH + ready, leaving
    )


def node(name: str, created: float = 0.0, ready: float | None = 0.0) -> Node:
    return Node(name, "g6.2xlarge", EPOCH + created, None if ready is None else EPOCH + ready)


def sample(
    at: float,
    replicas: Sequence[Replica] = (replica("a"),),
    nodes: Sequence[Node] = (node("n"),),
    desired: int = 1,
    queue: float = 0.0,
    active: bool | None = True,
    without_value: int = 0,
    missing: Sequence[str] = (),
    prometheus: bool = True,
) -> Sample:
    signals = {"inference:queue_depth:sum": queue, **dict.fromkeys(TRIGGERS, 1.0)}
    return Sample(
        at=at,
        wanted=desired,
        replicas=tuple(replicas),
        nodes=tuple(nodes),
        autoscaler=Autoscaler(desired, 1, active, without_value),
        signals={name: value for name, value in signals.items() if name not in missing}
        if prometheus
        else None,
    )


def run(outcomes: Sequence[Outcome], samples: Sequence[Sample], seconds: float = 10.0) -> Run:
    return Run(
        scenario=load_scenario("smoke"),
        target=Target("http://127.0.0.1:1", {}, "http://127.0.0.1:2", model()),
        api=cast(Api, None),
        client=cast(Client, None),
        arrivals=tuple(row.arrival for row in outcomes),
        started=0.0,
        started_at=EPOCH,
        samples=list(samples),
        outcomes=list(outcomes),
        loop_delays=[0.001] * 100,
        sent=len(outcomes),
        ended=seconds,
    )
