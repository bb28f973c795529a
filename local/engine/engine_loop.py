"""Runs the scheduler in real time: one step after another, each as long as it would take on the GPU.

The engine has a clock of its own that advances by the length of each step, so the time of a token does not
depend on how punctually this process wakes up. When the process is late, it catches up with several steps
before it lets the connections write, and a stream then gets several tokens in one event.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable

from local.engine import scheduler
from local.engine.admission import (
    RENDERING_SECONDS,
    EngineDead,
    QueueFull,
    ShuttingDown,
    bound_reached,
)
from local.engine.faults import Fault
from local.engine.metrics import EngineMetrics, Finished
from local.engine.request import Choice, Request
from local.engine.server_settings import Server
from local.engine.settings import Engine

CATCH_UP_SECONDS = 0.02
"""How long steps may run without letting the connections write: below what a reader notices."""


class EngineLoop:
    def __init__(
        self,
        engine: Engine,
        server: Server,
        metrics: EngineMetrics | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.scheduler = scheduler.Scheduler(
            scheduler.Limits(
                max_running=engine.max_running,
                step_tokens=engine.step_tokens,
                blocks=engine.blocks,
                block_size=engine.block_size,
                prefix_caching=engine.prefix_caching,
                adapters=0 if server.adapters is None else server.adapters.at_once,
            )
        )
        self._server = server
        self._metrics = metrics
        self._clock = clock
        self._now = clock()
        self._last_yield = self._now
        self._arrivals: deque[Request] = deque()
        self._choices: dict[scheduler.Sequence, tuple[Request, Choice]] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._hanging = False
        self._dead = False

    @property
    def dead(self) -> bool:
        return self._dead

    def check_open(self) -> None:
        """Raises ShuttingDown while draining: vLLM then has no thread that could tokenize a prompt."""
        if self._closed:
            raise ShuttingDown

    def check_admission(self, choices: int) -> None:
        """vLLM's first look, before a response begins: raises QueueFull if `choices` more replies exceed a
        bound of the queue, EngineDead after a crash."""
        if self._dead:
            raise EngineDead
        reached = bound_reached(self._server, self._choices, choices)
        if reached is not None:
            self._count_rejection(reached)
            raise QueueFull(reached)

    async def render(self, request: Request) -> None:
        """Lets the time pass in which vLLM renders the prompt, where another request may use it."""
        request.arrived = self._clock()
        if self._server.max_queued_requests is not None or self._server.max_queued_tokens is not None:
            await asyncio.sleep(RENDERING_SECONDS)

    def enter(self, request: Request) -> None:
        """vLLM's second look, as each prompt of a request is added, and the queue.

        Raises QueueFull if not all of them fit; then the whole request is given up, and every prompt that
        was refused counts. Raises EngineDead after a crash.
        """
        if self._dead:
            raise EngineDead
        each = len(request.choices) // request.prompts
        entered = 0
        tokens = 0
        refused: str | None = None
        for first in request.choices[::each]:
            reached = bound_reached(self._server, self._choices, each, entered, tokens)
            if reached is None:
                entered += each
                tokens += each * first.sequence.prompt_tokens
            else:
                refused = reached
                self._count_rejection(reached)
        if refused is not None:
            raise QueueFull(refused)
        self.submit(request)

    def submit(self, request: Request) -> None:
        """Queues a request that has been let in."""
        if not request.arrived:
            request.arrived = self._clock()
        request.queued = request.arrived + self.engine.timing.request_ms / 1000
        for choice in request.choices:
            self._choices[choice.sequence] = (request, choice)
        self._arrivals.append(request)
        self._idle.clear()
        self._work.set()

    def abort(self, request: Request) -> None:
        """Gives up what is left of a request, because its caller is gone."""
        if request in self._arrivals:
            self._arrivals.remove(request)
            request.queued = 0.0
        if not request.queued:  # the scheduler does not know it
            for choice in request.choices:
                choice.sequence.phase = scheduler.Phase.FINISHED
        for choice in request.choices:
            if not choice.finished:
                self.scheduler.abort(choice.sequence)
                choice.aborted = True
            self._choices.pop(choice.sequence, None)
        self._show_load()

    async def drain(self, timeout: float) -> int:
        """Takes no new requests and waits for the last ones. Returns how many are left after `timeout`."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)
        return len({request for request, _ in self._choices.values()})

    def abort_all(self) -> int:
        """Takes no new requests and ends those there are. Returns how many those were."""
        self._closed = True
        left = {request for request, _ in self._choices.values()}
        for request in left:
            self.abort(request)
            request.advanced.set()
        return len(left)

    def hang(self) -> None:
        """Takes no step any more."""
        self._hanging = True
        self._work.set()

    async def run(self) -> None:
        """Steps for as long as the engine lives, or for ever if it hangs."""
        while True:
            if not self.scheduler.has_work:
                await self._wait_for_arrival()
            self._queue_arrivals()
            if self._dead:
                return
            if self._hanging:
                await asyncio.Event().wait()
            if not self.scheduler.has_work:
                continue
            step = self.scheduler.schedule()
            for sequence in step.admitted:
                self._choices[sequence][1].scheduled = self._now
            end = self._now + self.engine.timing.seconds(
                step.computed_tokens, step.context_tokens, len(step.work)
            )
            await self._let_pass(end)
            self._now = end
            self._apply(step)

    async def _wait_for_arrival(self) -> None:
        """Sleeps until a request is to be queued, and puts the idle engine's clock there."""
        if not self._arrivals:
            self._idle.set()
            self._work.clear()
            await self._work.wait()
        if self._arrivals:
            due = self._arrivals[0].queued
            await asyncio.sleep(max(0.0, due - self._clock()))
            self._now = max(self._now, due)

    def _queue_arrivals(self) -> None:
        while self._arrivals and self._arrivals[0].queued <= self._now:
            request = self._arrivals.popleft()
            for choice in request.choices:
                self.scheduler.add(choice.sequence)
            if request.fault is not None:
                self._fail(request.fault)

    def _fail(self, fault: Fault) -> None:
        if fault is Fault.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault is Fault.HANG:
            self._hanging = True
            return
        self._dead = True
        for request, _ in self._choices.values():
            request.failed = True
            request.advanced.set()

    async def _let_pass(self, end: float) -> None:
        """Waits until the step is over; when it already is, lets others run only now and then."""
        now = self._clock()
        if end > now:
            await asyncio.sleep(end - now)
        elif now - self._last_yield < CATCH_UP_SECONDS:
            return
        else:
            await asyncio.sleep(0)
        self._last_yield = self._clock()

    def _apply(self, step: scheduler.Step) -> None:
        result = self.scheduler.complete(step)
        prefilled = 0
        for sequence in result.advanced:
            request, choice = self._choices[sequence]
            if sequence.generated <= 1:
                choice.first_token = self._now
                prefilled += sequence.prompt_tokens - sequence.cached
                if self._metrics is not None:
                    self._metrics.first_token(
                        self._now - request.arrived, sequence.prompt_tokens, sequence.cached
                    )
            elif self._metrics is not None:
                self._metrics.next_token(self._now - choice.last_token)
            choice.last_token = self._now
            request.advanced.set()
        for sequence in result.finished:
            self._finish(*self._choices.pop(sequence))
        if self._metrics is not None:
            self._metrics.prefix_lookup(step.queried_tokens, step.hit_tokens)
            self._metrics.counters["num_preemptions"].inc(len(step.preempted))
            self._metrics.step(prefilled, sum(1 for sequence in result.advanced if sequence.generated))
        self._show_load()

    def _finish(self, request: Request, choice: Choice) -> None:
        if self._metrics is None:
            return
        sequence = choice.sequence
        self._metrics.finish(
            Finished(
                reason=choice.reason,
                arrived=request.arrived,
                queued=request.queued,
                scheduled=choice.scheduled,
                first_token=choice.first_token,
                last_token=choice.last_token,
                prompt_tokens=sequence.prompt_tokens,
                cached_tokens=sequence.cached,
                generated_tokens=sequence.generated,
                max_tokens=request.max_tokens,
                preemptions=sequence.preemptions,
            )
        )
        if not sequence.output_tokens:
            self._metrics.choices(
                1, 0
            )  # vLLM counts every input of a pooling request as a request of its own
        elif not any(choice.sequence in self._choices for choice in request.choices):
            longest = max(choice.sequence.generated for choice in request.choices)
            self._metrics.choices(len(request.choices), longest)

    def _show_load(self) -> None:
        if self._metrics is not None:
            waiting = len(self.scheduler.waiting)
            self._metrics.load(len(self.scheduler.running), waiting, self.scheduler.pool.usage)
            self._metrics.adapters(self.scheduler.running, self.scheduler.waiting)

    def _count_rejection(self, bound: str) -> None:
        if self._metrics is not None:
            self._metrics.rejections[bound].inc()
