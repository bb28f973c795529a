"""From a route into the engine and back: admission, and the wait for a whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request as HttpRequest

from local.engine.admission import EngineDead, QueueFull, ShuttingDown
from local.engine.engine_loop import EngineLoop
from local.engine.errors import engine_dead, queue_full, shutting_down
from local.engine.request import Request
from local.engine.streaming import caller_left

CALLER_LEFT_STATUS = 200
"""What vLLM's metrics count for a caller who left: its handler is cancelled and returns nothing, which
FastAPI answers with 200 (seen with 0.32.0)."""


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what the engine refuses into vLLM's answers."""
    try:
        yield
    except QueueFull as error:
        raise queue_full(error.bound) from None
    except ShuttingDown:
        raise shutting_down() from None
    except EngineDead:
        raise engine_dead() from None


def look_first(loop: EngineLoop, choices: int) -> None:
    """The first of vLLM's two looks at the queue, with one prompt's choices. Raises ApiError."""
    with refusals():
        loop.check_admission(choices)


def check_open(loop: EngineLoop) -> None:
    """Raises ApiError where vLLM would have to tokenize and cannot, because it is shutting down."""
    with refusals():
        loop.check_open()


def enter(loop: EngineLoop, request: Request) -> None:
    """The second look, and the queue. Raises ApiError if the engine takes no more."""
    with refusals():
        loop.enter(request)


async def finished(http: HttpRequest, loop: EngineLoop, request: Request) -> bool:
    """Waits for the whole answer. False, and the request is given up, if the caller leaves first.

    Raises ApiError if the engine dies.
    """

    async def complete() -> None:
        while not request.finished and not request.failed:
            await request.advanced.wait()
            request.advanced.clear()

    done = asyncio.ensure_future(complete())
    left = asyncio.ensure_future(caller_left(http.receive))
    try:
        await asyncio.wait((done, left), return_when=asyncio.FIRST_COMPLETED)
        if request.failed:
            raise engine_dead()
        return done.done()
    finally:
        for task in (done, left):
            task.cancel()
        loop.abort(request)
