"""Runs the scheduler in real time: one step after another, each as long as it would take on the GPU.

The engine has a clock of its own that advances by the length of each step, so the time of a token does not
depend on how punctually this process wakes up. When the process is late, it catches up with several steps
before it lets the connections write, and a stream then gets several tokens in one event.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from local.engine import scheduler
from local.engine.metrics import EngineMetrics, Finished
from local.engine.reply import ReplyText, StopHit
from local.engine.settings import Engine, Server

CATCH_UP_SECONDS = 0.02
"""How long steps may run without letting the connections write: below what a reader notices."""


class QueueFull(Exception):
    """A bound of the queue is reached; `bound` is the name under which vLLM counts it."""

    def __init__(self, bound: str) -> None:
        super().__init__(bound)
        self.bound = bound


class ShuttingDown(Exception):
    """The engine takes no new requests because it is finishing its last ones."""


@dataclass(slots=True, eq=False)
class Choice:
    """One reply of a request, and its times on the engine's clock.

    An embedding or a score is one too, without a token; its first and last token are when it was computed.
    reason: how it ends, stop or length; stop: the stop string that ends it, if one does.
    """

    sequence: scheduler.Sequence
    reply: ReplyText
    reason: str
    stop: StopHit | None
    scheduled: float = 0.0
    first_token: float = 0.0
    last_token: float = 0.0
    aborted: bool = False

    @property
    def finished(self) -> bool:
        return self.sequence.phase is scheduler.Phase.FINISHED


@dataclass(slots=True, eq=False)
class Request:
    """What a caller asked for: its choices, and the event that says one of them has advanced."""

    choices: Sequence[Choice]
    max_tokens: int | None
    arrived: float = 0.0
    queued: float = 0.0
    advanced: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def finished(self) -> bool:
        return all(choice.finished for choice in self.choices)


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

    def check_admission(self, choices: int) -> None:
        """Raises QueueFull if `choices` more replies exceed a bound of the queue, ShuttingDown while
        draining."""
        if self._closed:
            raise ShuttingDown
        bound = self._server.max_queued_requests
        if bound is not None and len(self._choices) + choices > bound:
            self._reject("max_num_queued_reqs")
        bound = self._server.max_queued_tokens
        if bound is not None:
            queued = sum(s.prompt_tokens for s in self._choices if not s.generated)
            if queued >= bound:
                self._reject("max_num_queued_tokens")

    def submit(self, request: Request) -> None:
        """Queues a request that `check_admission` has let in."""
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
            for choice in request.choices:
                choice.sequence.phase = scheduler.Phase.FINISHED
        for choice in request.choices:
            if not choice.finished:
                self.scheduler.abort(choice.sequence)
                choice.aborted = True
            self._choices.pop(choice.sequence, None)
        self._show_load()

    async def drain(self, timeout: float) -> int:
        """Takes no new requests and waits for the last ones; aborts what is left. Returns how many that
        was."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout)
        left = {request for request, _ in self._choices.values()}
        for request in left:
            self.abort(request)
            request.advanced.set()
        return len(left)

    async def run(self) -> None:
        """Steps for as long as the process lives."""
        while True:
            if not self.scheduler.has_work:
                await self._wait_for_arrival()
            self._queue_arrivals()
            if not self.scheduler.has_work:
                continue
            step = self.scheduler.schedule()
            for sequence in step.admitted:
                self._choices[sequence][1].scheduled = self._now
            end = self._now + self.engine.timing.seconds(step.computed_tokens, step.context_tokens)
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
            for choice in self._arrivals.popleft().choices:
                self.scheduler.add(choice.sequence)

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

    def _reject(self, bound: str) -> None:
        if self._metrics is not None:
            self._metrics.rejections[bound].inc()
        raise QueueFull(bound)
