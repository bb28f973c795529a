"""From a route into the engine and back: admission, and the wait for a whole answer."""

from __future__ import annotations

import asyncio

from starlette.requests import Request as HttpRequest

from local.engine.engine_loop import EngineLoop, QueueFull, Request, ShuttingDown
from local.engine.errors import queue_full, shutting_down
from local.engine.streaming import caller_left

CALLER_LEFT_STATUS = 499


def admit(loop: EngineLoop, request: Request) -> None:
    """Queues a request. Raises ApiError if the engine takes no more."""
    try:
        loop.check_admission(len(request.choices))
    except QueueFull as error:
        raise queue_full(error.bound) from None
    except ShuttingDown:
        raise shutting_down() from None
    loop.submit(request)


async def finished(http: HttpRequest, loop: EngineLoop, request: Request) -> bool:
    """Waits for the whole answer. False, and the request is given up, if the caller leaves first."""

    async def complete() -> None:
        while not request.finished:
            await request.advanced.wait()
            request.advanced.clear()

    done = asyncio.ensure_future(complete())
    left = asyncio.ensure_future(caller_left(http.receive))
    try:
        await asyncio.wait((done, left), return_when=asyncio.FIRST_COMPLETED)
        return done.done()
    finally:
        for task in (done, left):
            task.cancel()
        loop.abort(request)
