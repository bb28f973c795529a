"""Faults break the right thing and put it back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import Any, cast

import pytest

from local.fleet.api import Api
from local.fleet.processes import POD_VARIABLE
from local.load.chaos import processes
from local.load.chaos.experiment import longest
from local.load.chaos.faults import Fault, faults
from local.paths import PROCESS_MARKER, STATE
from tests.local.load.samples import node, run, sample


class RecordingApi:
    """Answers with fixed objects, and keeps every patch."""

    def __init__(self, objects: dict[str, dict[str, Any]]) -> None:
        self.objects = objects
        self.patches: list[tuple[str, dict[str, Any]]] = []

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        return self.objects[path]

    async def patch(self, path: str, body: dict[str, Any]) -> None:
        self.patches.append((path, body))


def fault(name: str) -> Fault:
    return next(each for each in faults(blind_seconds=30) if each.name == name)


def broken_and_restored(name: str, objects: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    made = run([], [sample(0.0, nodes=[node("n"), node("m")])])
    api = RecordingApi(objects)
    made.api = cast(Api, api)
    made.stopping.set()  # no further request may leave: there is nobody to answer

    async def go() -> None:
        undo = await fault(name).inject(made)
        assert undo is not None
        await undo()

    asyncio.run(go())
    return api.patches


def test_renamed_metrics_get_their_names_back():
    path = "/apis/monitoring.coreos.com/v1/namespaces/inference/podmonitors"
    endpoints = [{"port": "http", "metricRelabelings": [{"action": "labeldrop", "regex": "x"}]}]
    item = {"metadata": {"name": "engines"}, "spec": {"podMetricsEndpoints": endpoints}}
    (broken_path, broken), (restored_path, restored) = broken_and_restored(
        "renamed-metric", {path: {"items": [item]}}
    )
    assert broken_path == restored_path == f"{path}/engines"
    rules = broken["spec"]["podMetricsEndpoints"][0]["metricRelabelings"]
    assert rules[0] == endpoints[0]["metricRelabelings"][0]
    assert rules[1]["replacement"] == "renamed:$1"
    assert restored == {"spec": {"podMetricsEndpoints": endpoints}}


def test_the_pools_limit_is_what_is_there_and_comes_back():
    path = "/apis/karpenter.sh/v1/nodepools"
    limits = {"nodes": "6", "nvidia.com/gpu": "6"}

    def node_pool(name: str, pool: str, nodes: int) -> dict[str, Any]:
        template = {"metadata": {"labels": {"llm-platform/node-pool": pool}}}
        spec = {"limits": limits, "template": template}
        return {"metadata": {"name": name}, "spec": spec, "status": {"nodes": nodes}}

    items = [node_pool("l4", "l4", 2), node_pool("l4.spot", "l4", 1), node_pool("other", "other", 3)]
    patches = broken_and_restored("pool-limit", {path: {"items": items}})
    assert patches == [
        (f"{path}/l4", {"spec": {"limits": {"nodes": "2"}}}),
        (f"{path}/l4.spot", {"spec": {"limits": {"nodes": "1"}}}),
        (f"{path}/l4", {"spec": {"limits": limits}}),
        (f"{path}/l4.spot", {"spec": {"limits": limits}}),
    ]


def test_a_pods_process_is_found_by_its_uid_and_killed():
    environment = {**os.environ, PROCESS_MARKER: str(STATE), POD_VARIABLE: "uid-of-the-test"}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], env=environment) as child:
        deadline = time.monotonic() + 10
        # Until it has become Python, its environment is this process's own.
        while True:
            try:
                assert processes.container("uid-of-the-test") == child.pid
                break
            except processes.NoProcess:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        processes.kill(child.pid)
        assert child.wait(timeout=10) == -9


def test_a_pod_without_a_process_is_said_so():
    with pytest.raises(processes.NoProcess, match="uid-of-nobody"):
        processes.container("uid-of-nobody")


def test_an_experiment_has_an_end():
    every = faults(blind_seconds=600)
    assert longest(every) < 3600  # what a phase of a scenario may last
    assert longest(every) > sum(each.hold_seconds for each in every)
