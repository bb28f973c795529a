"""CPU time per request of several configurations of the gateway, side by side in one run.

Other work on the machine makes a request up to twice as dear (caches, a shared core), so figures of two runs
cannot be compared. Here all configurations stand before the same upstream and get the same requests from the
same client in slices of a fraction of a second, round after round, in an order that turns. What counts is the
ratio inside one round: a disturbance hits neighbours alike, and the median drops the rounds that it does not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from local.gateway_benchmark.client import Connection, Connections, exchange, request
from local.gateway_benchmark.cpu import cpu_seconds
from local.gateway_benchmark.measure import SHAPES, pin
from local.gateway_benchmark.servers import Server, envoy_with, free_port, upstream
from local.gateway_benchmark.upstream import Shape

WARM_UP_REQUESTS = 3000
"""To each configuration before anything counts: until then LuaJIT compiles."""


@dataclass(frozen=True)
class Variant:
    """A configuration under a name. render: its document for a port and the upstream's port."""

    name: str
    render: Callable[[int, int], Mapping[str, Any]]


@dataclass(frozen=True)
class Slices:
    """rounds of one slice for each variant and shape, `requests` long, on `connections`."""

    rounds: int
    connections: int
    requests: int


@dataclass
class Costs:
    """CPU time per request in microseconds, for "whole" and "streamed": an entry for each round."""

    name: str
    microseconds: dict[Shape, list[float]] = field(default_factory=dict)


def compare(
    variants: Sequence[Variant], slices: Slices, folder: Path, say: Callable[[str], None]
) -> list[Costs]:
    """Raises ServerError or BadAnswer."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with contextlib.ExitStack() as running:
        up = running.enter_context(upstream(folder))
        servers: list[Server] = []
        for number, variant in enumerate(variants):
            port = free_port()
            document = variant.render(port, up.port)
            servers.append(running.enter_context(envoy_with(f"variant-{number}", document, port, folder)))
        if len(cores) > 1:
            for pid, core in ((os.getpid(), 1), (up.pid, 1), *((server.pid, 0) for server in servers)):
                pin(pid, cores[core])
        measured = uvloop.run(_rounds(servers, slices, say))
    return [Costs(variant.name, costs) for variant, costs in zip(variants, measured, strict=True)]


async def _rounds(
    servers: Sequence[Server], slices: Slices, say: Callable[[str], None]
) -> list[dict[Shape, list[float]]]:
    """Of each server, the cost of a request in each round."""
    found: list[dict[Shape, list[float]]] = [{shape: [] for shape in SHAPES} for _ in servers]
    async with contextlib.AsyncExitStack() as opened:
        lines: list[list[Connection]] = []
        for server in servers:
            connections = await opened.enter_async_context(Connections(server.port))
            lines.append([await connections.add() for _ in range(slices.connections)])
        for server, ready in zip(servers, lines, strict=True):
            for shape in SHAPES:
                await exchange(ready, request(server.port, shape), WARM_UP_REQUESTS)
        for number in range(slices.rounds):
            if number % 50 == 0:
                say(f"round {number + 1} of {slices.rounds}")
            for shape in SHAPES:
                for index in turn(len(servers), number):
                    server = servers[index]
                    data = request(server.port, shape)
                    before = cpu_seconds([server.pid])
                    await exchange(lines[index], data, slices.requests)
                    used = cpu_seconds([server.pid]) - before
                    found[index][shape].append(used / slices.requests * 1e6)
    return found


def turn(count: int, number: int) -> list[int]:
    """The order of a round: each variant comes first in turn, and every second round goes backwards."""
    order = [(index + number // 2) % count for index in range(count)]
    return order if number % 2 == 0 else order[::-1]
