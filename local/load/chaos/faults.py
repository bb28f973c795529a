"""What can be broken, each with the way to break it and, where it does not heal by itself, to undo that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from local.cluster.supervision import Supervisor
from local.engine.faults import Fault as Ask
from local.load.chaos import processes
from local.load.chaos.connections import CONNECTIONS, hold_idle_connections
from local.load.chaos.staging import StagingFault
from local.load.run import Run, surge
from local.load.scenario import load_scenario
from serving.names import GATEWAY, GATEWAY_NAMESPACE, INFERENCE_NAMESPACE, NAME_LABEL
from sizing.labels import NODE_POOL_LABEL

Undo = Callable[[], Awaitable[None]]

RENAMED = "vllm:(num_requests_running|num_requests_waiting|num_requests_waiting_by_reason)"
"""Series that the rename takes away: those of the queue and of the work in the system."""

RECOVERY_SECONDS = 150.0
HANG_SECONDS = 540.0
"""What a hang may take: five minutes until an engine that shows no work is asked for a token, one until
liveness has seen it fail often enough, and a cold start."""

LIMIT_SECONDS = 60.0
IDLE_SECONDS = 60.0
IDLE_RECOVERY_SECONDS = 30.0
"""Nothing has to start again when the connections are closed."""

BLIND_BURST_SECONDS = 60.0
SURGE = "surge"
"""Scenario that asks for more replicas than the pool may have machines."""


POISON_STATUS = 502
"""What the gateway says once two engines have broken off, without asking a third."""


class Spared(Exception):
    """A fault that was to break something did not."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    hold_seconds: how long it lasts before it is undone; 0 for a kill. present: whether what was broken runs
    again, asked once a second. recovery_seconds: after this it counts as not recovered, and the next one is
    not begun.
    """

    name: str
    what: str
    hold_seconds: float
    inject: Callable[[Run], Awaitable[Undo | None]]
    present: Callable[[], bool]
    recovery_seconds: float = RECOVERY_SECONDS


def faults(blind_seconds: float) -> tuple[Fault, ...]:
    """All of them, in the order in which they are tried: the long one last."""
    staging = StagingFault()
    return (
        Fault("engine", "kill -9 of one of the model's engines", 0, _kill_engine, _always),
        Fault("poison", "a request that kills whichever engine computes it", 0, _poison, _always),
        _hang(),
        _kill_part("karpenter", "Karpenter"),
        _kill_part("keda-operator", "the KEDA operator"),
        _kill_part("keda-adapter", "KEDA's metrics adapter"),
        _kill_part("prometheus", "Prometheus"),
        Fault("envoy", "kill -9 of the gateway's Envoy", 0, _kill_gateway, _always),
        Fault(
            "stager",
            "a staging Job hangs, another waits for its claim, then kill -9 of the first",
            0,
            staging.inject,
            staging.present,
        ),
        Fault(
            "renamed-metric",
            f"the engine's queue and running series renamed for {min(blind_seconds, 60):g} s",
            min(blind_seconds, 60),
            _rename_metrics,
            _always,
        ),
        Fault(
            "pool-limit",
            f"the node pool at its limit for {LIMIT_SECONDS:g} s, while a surge asks for more",
            LIMIT_SECONDS,
            _limit_pool,
            _always,
        ),
        Fault(
            "idle-connections",
            f"{CONNECTIONS} connections to the gateway that say nothing, for {IDLE_SECONDS:g} s",
            IDLE_SECONDS,
            hold_idle_connections,
            _always,
            IDLE_RECOVERY_SECONDS,
        ),
        Fault(
            "blind-burst",
            f"Prometheus stopped for {BLIND_BURST_SECONDS:g} s, while a surge asks for more",
            BLIND_BURST_SECONDS,
            _stop_prometheus_in_a_surge,
            lambda: processes.is_supervised("prometheus"),
        ),
        Fault(
            "no-metrics",
            f"Prometheus stopped for {blind_seconds:g} s",
            blind_seconds,
            _stop_prometheus,
            lambda: processes.is_supervised("prometheus"),
        ),
    )


def _always() -> bool:
    return True


def _kill_part(program: str, title: str) -> Fault:
    async def inject(run: Run) -> None:
        processes.kill(processes.supervised(program))

    return Fault(program, f"kill -9 of {title}", 0, inject, lambda: processes.is_supervised(program))


async def _kill_engine(run: Run) -> None:
    pods = await _ready_pods(run, INFERENCE_NAMESPACE, run.scenario.model)
    processes.kill(processes.container(pods[-1]["metadata"]["uid"]))


async def _poison(run: Run) -> None:
    """Sends the request once, as a client that does not try again. Raises Spared if no engine died of it."""
    body = {"model": run.scenario.model, "messages": [{"role": "user", "content": Ask.KILL.value.decode()}]}
    url = f"{run.target.gateway}/v1/chat/completions"
    async with (
        aiohttp.ClientSession(headers=run.target.authorization) as session,
        session.post(url, json=body) as response,
    ):
        if response.status != POISON_STATUS:
            raise Spared(f"the request that kills engines got {response.status}, not {POISON_STATUS}")


def _hang() -> Fault:
    """The engine is gone once its own liveness probe has ended it; until then it hangs."""
    hanging: list[int] = []

    async def inject(run: Run) -> None:
        pods = await _ready_pods(run, INFERENCE_NAMESPACE, run.scenario.model)
        hanging[:] = [processes.container(pods[-1]["metadata"]["uid"])]
        processes.hang(hanging[0])

    def present() -> bool:
        return not any(processes.runs(pid) for pid in hanging)

    return Fault(
        "hang", "an engine that hangs: 200 on /health, and no further step", 0, inject, present, HANG_SECONDS
    )


async def _kill_gateway(run: Run) -> None:
    pods = await _ready_pods(run, GATEWAY_NAMESPACE, GATEWAY)
    processes.kill(processes.container(pods[-1]["metadata"]["uid"]))


async def _ready_pods(run: Run, namespace: str, name: str) -> Sequence[dict[str, Any]]:
    """Running pods of a workload, oldest first. Raises NoProcess if there is none."""
    found = await run.api.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{NAME_LABEL}={name}")
    pods = [
        item
        for item in found["items"]
        if item["status"].get("phase") == "Running" and "deletionTimestamp" not in item["metadata"]
    ]
    if not pods:
        raise processes.NoProcess(f"no running pod of {namespace}/{name}")
    return sorted(pods, key=lambda item: item["metadata"]["creationTimestamp"])


async def _stop_prometheus(run: Run) -> Undo:
    supervisor = Supervisor()
    await asyncio.to_thread(supervisor.stop, "prometheus")

    async def undo() -> None:
        await asyncio.to_thread(supervisor.start, "prometheus")

    return undo


async def _stop_prometheus_in_a_surge(run: Run) -> Undo:
    start = await _stop_prometheus(run)
    more = asyncio.create_task(surge(run, load_scenario(SURGE)))

    async def undo() -> None:
        await start()
        await more

    return undo


async def _rename_metrics(run: Run) -> Undo:
    collection = f"/apis/monitoring.coreos.com/v1/namespaces/{INFERENCE_NAMESPACE}/podmonitors"
    monitors = (await run.api.get(collection))["items"]
    rename = {
        "sourceLabels": ["__name__"],
        "regex": RENAMED,
        "targetLabel": "__name__",
        "replacement": "renamed:$1",
    }
    before = {item["metadata"]["name"]: item["spec"]["podMetricsEndpoints"] for item in monitors}
    for name, endpoints in before.items():
        changed = [
            {**endpoint, "metricRelabelings": [*endpoint.get("metricRelabelings", []), rename]}
            for endpoint in endpoints
        ]
        await run.api.patch(f"{collection}/{name}", {"spec": {"podMetricsEndpoints": changed}})

    async def undo() -> None:
        for name, endpoints in before.items():
            await run.api.patch(f"{collection}/{name}", {"spec": {"podMetricsEndpoints": endpoints}})

    return undo


async def _limit_pool(run: Run) -> Undo:
    collection = "/apis/karpenter.sh/v1/nodepools"
    # A pool is a NodePool for each way in which it buys: none of them may buy more.
    ours = [
        item
        for item in (await run.api.get(collection))["items"]
        if item["spec"]["template"]["metadata"]["labels"].get(NODE_POOL_LABEL) == run.target.model.node_pool
    ]
    before = {item["metadata"]["name"]: item["spec"]["limits"] for item in ours}
    present = {item["metadata"]["name"]: item["status"]["nodes"] for item in ours}
    for name, nodes in present.items():
        await run.api.patch(f"{collection}/{name}", {"spec": {"limits": {"nodes": str(nodes)}}})
    more = asyncio.create_task(surge(run, load_scenario(SURGE)))

    async def undo() -> None:
        for name, limits in before.items():
            await run.api.patch(f"{collection}/{name}", {"spec": {"limits": limits}})
        await more

    return undo
