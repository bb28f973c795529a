"""Measures every server in turns: round after round, so that what else the machine does hits all alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil
import uvloop

from local.gateway_benchmark.client import Latencies, Throughput, pace, saturate
from local.gateway_benchmark.cpu import cpu_seconds, family
from local.gateway_benchmark.servers import Server, envoy, litellm, upstream, vllm_router
from local.gateway_benchmark.upstream import Shape

Rival = Literal["vllm-router", "litellm"]

RIVALS = {"vllm-router": vllm_router, "litellm": litellm}


@dataclass(frozen=True)
class Plan:
    """rounds of: `seconds` of saturation with `connections`, whole and streamed; then `seconds` at `rate`.

    rivals: other gateways to compare with.
    """

    rounds: int
    connections: int
    seconds: float
    rate: float
    rivals: tuple[Rival, ...]


@dataclass
class Measured:
    """All rounds of one server: lists with an entry for each round, for "whole" and "streamed".

    core_busy: share of one core that the server used while saturated. total, first: seconds from the planned
    time to the last and the first byte of each request at the fixed rate. memory_mib: resident, after each
    saturation.
    """

    name: str
    requests_per_second: dict[str, list[float]] = field(default_factory=dict)
    per_cpu_second: dict[str, list[float]] = field(default_factory=dict)
    core_busy: dict[str, list[float]] = field(default_factory=dict)
    total: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    first: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    memory_mib: list[float] = field(default_factory=list)
    late: int = 0


SHAPES: tuple[Shape, ...] = ("whole", "streamed")


def pin(pid: int, core: int) -> bool:
    """Keeps a process on one core. False where the system has no such thing."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    for process in map(psutil.Process, family(pid)):
        for thread in process.threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, {core})
    return True


def measure(plan: Plan, folder: Path, say: Callable[[str], None]) -> tuple[list[Measured], bool]:
    """The measurements, and whether the servers had a core of their own. Raises ServerError or BadAnswer."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with contextlib.ExitStack() as running:
        up = running.enter_context(upstream(folder))
        servers = [up, running.enter_context(envoy(folder, up.port))]
        servers += [running.enter_context(RIVALS[rival](folder, up.port)) for rival in plan.rivals]
        pinned = len(cores) > 1
        if pinned:
            # The gateway alone on one core; client and upstream share another.
            pinned = pin(os.getpid(), cores[1]) and pin(up.pid, cores[1])
            for server in servers[1:]:
                pinned = pin(server.pid, cores[0]) and pinned
        results = [Measured(server.name) for server in servers]
        for number in range(plan.rounds):
            for server, result in zip(servers, results, strict=True):
                say(f"round {number + 1} of {plan.rounds}: {server.name}")
                for shape in SHAPES:
                    _saturate(plan, server, result, shape)
                    _pace(plan, server, result, shape, number)
    return results, pinned


def _saturate(plan: Plan, server: Server, result: Measured, shape: Shape) -> None:
    before = cpu_seconds(family(server.pid))
    done: Throughput = uvloop.run(saturate(server.port, plan.connections, plan.seconds, shape))
    used = cpu_seconds(family(server.pid)) - before
    result.requests_per_second.setdefault(shape, []).append(done.requests / done.seconds)
    result.per_cpu_second.setdefault(shape, []).append(done.requests / used if used else 0.0)
    result.core_busy.setdefault(shape, []).append(used / done.seconds)
    result.memory_mib.append(_resident_mib(server.pid))


def _pace(plan: Plan, server: Server, result: Measured, shape: Shape, seed: int) -> None:
    # The same seed for every server: the same arrivals. Not uvloop: its timers are as coarse as 1 ms.
    seen: Latencies = asyncio.run(pace(server.port, plan.connections, plan.rate, plan.seconds, seed, shape))
    result.total.setdefault(shape, []).append(seen.total)
    result.first.setdefault(shape, []).append(seen.first)
    result.late += seen.late


def _resident_mib(pid: int) -> float:
    total = 0
    for each in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += psutil.Process(each).memory_info().rss
    return total / 2**20
