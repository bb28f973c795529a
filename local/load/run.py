"""Sends a scenario's requests at their times and watches the cluster meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from local.fleet.api import Api, load_kubeconfig
from local.load.arrivals import Arrival, schedule
from local.load.client import Client, Outcome
from local.load.observe import Observer, Sample
from local.load.scenario import Scenario
from local.load.target import Target, TargetError
from local.paths import KUBECONFIG

SAMPLE_SECONDS = 1.0
HEARTBEAT_SECONDS = 0.05
"""How often the event loop's own delay is measured: what it is late by, every token is seen late by."""


@dataclass
class Run:
    """A run as it grows. started: on time.monotonic(); started_at: seconds since the Unix epoch.

    loop_delays: seconds that a heartbeat came late, one every HEARTBEAT_SECONDS.
    """

    scenario: Scenario
    target: Target
    arrivals: tuple[Arrival, ...]
    started: float
    started_at: float
    outcomes: list[Outcome] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    loop_delays: list[float] = field(default_factory=list)
    sent: int = 0
    ended: float | None = None
    cpu_seconds: float = 0.0

    @property
    def now(self) -> float:
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    @property
    def in_flight(self) -> int:
        return self.sent - len(self.outcomes)

    def phase(self) -> str:
        end = 0.0
        for phase in self.scenario.phases:
            end += phase.seconds
            if self.now < end:
                return phase.name
        return "waiting for the minimum" if not self.in_flight else "last replies"


async def execute(scenario: Scenario, target: Target, tick: Callable[[Run], None]) -> Run:
    """Runs the scenario to its end. `tick` is called after every sample of the cluster.

    Raises TooManyRequests or TargetError before anything is sent.
    """
    arrivals = schedule(scenario)
    api = Api(load_kubeconfig(KUBECONFIG))
    observer = Observer(api, target.prometheus, scenario.model, target.node_selector)
    async with _session() as session:
        client = Client(
            session, target.gateway, scenario.model, scenario.limits.request_seconds, scenario.retries
        )
        before = await observer.sample(0.0)
        if before is None:
            raise TargetError("the API server does not answer, or the model has no Deployment: `make status`")
        cpu = time.process_time()
        run = Run(scenario, target, arrivals, time.monotonic(), time.time(), samples=[before])
        watching = [asyncio.create_task(_watch(run, observer, tick)), asyncio.create_task(_heartbeat(run))]
        try:
            await _send(run, client)
            await _settle(run)
        finally:
            run.ended = time.monotonic()
            run.cpu_seconds = time.process_time() - cpu
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await observer.close()
            await api.close()
    return run


@contextlib.asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    # No limit on connections, or it would close the loop; time limits are the client's own.
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


async def _send(run: Run, client: Client) -> None:
    async def one(arrival: Arrival) -> None:
        run.outcomes.append(await client.send(arrival, run.started))

    async with asyncio.TaskGroup() as requests:
        for arrival in run.arrivals:
            await asyncio.sleep(max(0.0, run.started + arrival.at - time.monotonic()))
            run.sent += 1
            requests.create_task(one(arrival))
        await asyncio.sleep(max(0.0, run.scenario.seconds - run.now))


async def _settle(run: Run) -> None:
    """Waits until replicas and nodes are as few as before the run, at most for the scenario's limit."""
    deadline = run.now + run.scenario.limits.settle_seconds
    while run.now < deadline and not returned(run.samples):
        await asyncio.sleep(SAMPLE_SECONDS)


def returned(samples: Sequence[Sample]) -> bool:
    """Whether the last sample has no more replicas and nodes than the first."""
    if not samples:
        return False
    first, last = samples[0], samples[-1]
    return len(last.replicas) <= len(first.replicas) and len(last.nodes) <= len(first.nodes)


async def _watch(run: Run, observer: Observer, tick: Callable[[Run], None]) -> None:
    while True:
        at = run.now
        sample = await observer.sample(at)
        if sample is not None:
            run.samples.append(sample)
        tick(run)
        await asyncio.sleep(max(0.0, at + SAMPLE_SECONDS - run.now))


async def _heartbeat(run: Run) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(HEARTBEAT_SECONDS)
        run.loop_delays.append(time.monotonic() - before - HEARTBEAT_SECONDS)
