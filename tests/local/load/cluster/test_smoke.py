"""A few seconds of load and one kill, on the real cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from local.load.chaos.experiment import Experiment
from local.load.chaos.faults import faults
from local.load.report import report
from local.load.run import execute
from local.load.scenario import Phase, load_scenario
from local.load.target import find_target
from stacks.load import parse
from tests.local.on_cluster.deployment import deployed
from tests.stacks.environments import local_values

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.load.target import Target

pytestmark = pytest.mark.cluster


def values() -> dict[str, Any]:
    """`chat` alone, on machines that come at once."""
    values = local_values()
    values["models"] = values["models"][:1]
    values["node_pools"] = values["node_pools"][:1]
    values["cluster"]["node_startup_seconds"] = 0
    return values


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Iterator[Target]:
    stack_values = values()
    with deployed(cluster, stack_values) as platform:
        platform.wait_ready("gateway", "gateway", 1)
        platform.wait_ready("inference", "chat", 1)
        platform.gateway()
        stack_values["cluster"]["kubeconfig"] = str(cluster.kubeconfig)
        yield find_target(parse(stack_values, origin="test"), "chat")


def test_every_request_is_answered_and_counted(target: Target) -> None:
    ticks: list[float] = []
    run = asyncio.run(execute(load_scenario("smoke"), target, lambda run: ticks.append(run.now)))
    found = report(run)
    assert found.requests == len(run.arrivals) > 5
    assert found.failures == {}
    assert found.ttft.p50 is not None
    assert found.tokens == sum(arrival.output_tokens for arrival in run.arrivals)
    assert (found.replicas_largest, found.nodes_largest) == (1, 1)
    assert found.cost.usd > 0
    assert len(ticks) >= 5


def test_a_killed_engine_is_found_missing_and_back(target: Target) -> None:
    kill = [fault for fault in faults(blind_seconds=1) if fault.name == "engine"]
    scenario = load_scenario("smoke").model_copy(
        update={"phases": (Phase(name="only", seconds=120, requests_per_second=2),)}
    )
    scenario = scenario.model_copy(update={"limits": scenario.limits.model_copy(update={"requests": 500})})
    experiment = Experiment(kill, print)
    asyncio.run(execute(scenario, target, lambda run: None, experiment))
    (found,) = experiment.findings
    assert found.failed > 0  # one replica, one gateway: its streams cannot be resumed
    assert found.ready_lowest == 0
    assert found.recovered is not None
    assert found.held
