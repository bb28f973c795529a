"""Sends a scenario's requests at their times and watches the cluster meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import aiohttp

from local.fleet.api import Api, load_kubeconfig
from local.load.arrivals import Arrival, schedule
from local.load.client import Client, Outcome
from local.load.observe import Observer, Sample
from local.load.scenario import Scenario
from local.load.target import Target, TargetError, check_scenario
from local.paths import KUBECONFIG

SAMPLE_SECONDS = 1.0
HEARTBEAT_SECONDS = 0.05
"""How often the event loop's own delay is measured: what it is late by, every token is seen late by."""


@dataclass
class Run:
    """A run as it grows. started: on time.monotonic(); started_at: seconds since the Unix epoch.

    loop_delays: seconds that a heartbeat came late, one every HEARTBEAT_SECONDS. stopping: set to send no
    further request.
    """

    scenario: Scenario
    target: Target
    api: Api
    client: Client
    arrivals: tuple[Arrival, ...]
    started: float
    started_at: float
    samples: list[Sample]
    outcomes: list[Outcome] = field(default_factory=list)
    loop_delays: list[float] = field(default_factory=list)
    sent: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ended: float | None = None
    cpu_seconds: float = 0.0

    @property
    def now(self) -> float:
        """Seconds since the start; once the run has ended, how long it took."""
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
        return "last replies" if self.in_flight else "returning"


Tick = Callable[[Run], None]
Director = Callable[[Run], Awaitable[None]]
"""Does things to the cluster while the load goes on; the run ends when it returns."""


async def execute(scenario: Scenario, target: Target, tick: Tick, director: Director | None = None) -> Run:
    """Runs the scenario to its end. `tick` is called after every sample of the cluster.

    Raises TooManyRequests or TargetError before anything is sent, and whatever the director raises.
    """
    check_scenario(scenario, target.model)
    arrivals = schedule(scenario)
    async with contextlib.AsyncExitStack() as resources:
        api = Api(load_kubeconfig(KUBECONFIG))
        resources.push_async_callback(api.close)
        observer = Observer(api, target.prometheus, scenario.model, target.node_selector)
        resources.push_async_callback(observer.close)
        session = await resources.enter_async_context(_session(target))
        client = Client(
            session,
            target.gateway,
            scenario.model,
            target.model.task,
            scenario.limits.request_seconds,
            scenario.retries,
        )
        before = await observer.sample(0.0)
        if before is None:
            raise TargetError("the API server does not answer, or the model has no Deployment: `make status`")
        cpu = time.process_time()
        run = Run(scenario, target, api, client, arrivals, time.monotonic(), time.time(), [before])
        watching = [asyncio.create_task(_watch(run, observer, tick)), asyncio.create_task(_heartbeat(run))]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_scenario(run))
                if director is not None:
                    tasks.create_task(_direct(run, director))
            await _settle(run)
        finally:
            run.ended = time.monotonic()
            run.cpu_seconds = time.process_time() - cpu
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
    return run


@contextlib.asynccontextmanager
async def _session(target: Target) -> AsyncIterator[aiohttp.ClientSession]:
    # No limit on connections, or it would close the loop; time limits are the client's own.
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=target.authorization
    ) as session:
        yield session


async def _direct(run: Run, director: Director) -> None:
    try:
        await director(run)
    finally:
        run.stopping.set()


async def _scenario(run: Run) -> None:
    """The run's own arrivals, to the end of its last phase, which may be silent."""
    await send(run, run.arrivals)
    await _stopped_before(run, run.scenario.seconds)


async def surge(run: Run, scenario: Scenario) -> None:
    """Sends the arrivals of another scenario, from now on, on top of the run's own."""
    start = run.now
    await send(
        run,
        [
            replace(arrival, at=start + arrival.at, number=len(run.arrivals) + arrival.number, phase="surge")
            for arrival in schedule(scenario)
        ],
    )


async def send(run: Run, arrivals: Sequence[Arrival]) -> None:
    """Sends each arrival at its time, and returns once all are answered."""

    async def one(arrival: Arrival) -> None:
        run.outcomes.append(await run.client.send(arrival, run.started))

    async with asyncio.TaskGroup() as requests:
        for arrival in arrivals:
            if await _stopped_before(run, arrival.at):
                break
            run.sent += 1
            requests.create_task(one(arrival))


async def _stopped_before(run: Run, at: float) -> bool:
    """Waits for second `at` of the run. True if the run is stopped first."""
    wait = run.started + at - time.monotonic()
    if wait <= 0:
        return run.stopping.is_set()
    try:
        async with asyncio.timeout(wait):
            await run.stopping.wait()
    except TimeoutError:
        return False
    return True


async def _settle(run: Run) -> None:
    """Waits until replicas and nodes are as few as before the run, at most for the scenario's limit."""
    deadline = run.now + run.scenario.limits.settle_seconds
    while run.now < deadline and not returned(run.samples):
        await asyncio.sleep(SAMPLE_SECONDS)


def returned(samples: Sequence[Sample]) -> bool:
    """Whether the last sample has no more replicas and nodes than the first."""
    first, last = samples[0], samples[-1]
    return len(last.replicas) <= len(first.replicas) and len(last.nodes) <= len(first.nodes)


async def _watch(run: Run, observer: Observer, tick: Tick) -> None:
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
