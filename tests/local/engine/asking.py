"""The emulator's routes in this process, asked by a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
from prometheus_client import CollectorRegistry

from local.engine.app import make_app
from local.engine.engine_loop import EngineLoop
from local.engine.metrics import EngineMetrics
from sizing.capacity.timing import StepTime
from tests.local.engine.conftest import MODEL, quick_engine

Ask = Callable[[httpx.AsyncClient], Awaitable[None]]


def with_server(
    ask: Ask, *flags: str, model: str = MODEL, step_ms: float = 1.0, timing: StepTime | None = None
) -> CollectorRegistry:
    """Runs `ask` against a server of this model with these flags; its metrics."""
    registry = CollectorRegistry()

    async def run() -> None:
        engine, server = quick_engine(*flags, step_ms=step_ms, model=model)
        engine = engine if timing is None else replace(engine, timing=timing)
        loop = EngineLoop(engine, server, EngineMetrics(registry, engine, server))
        transport = httpx.ASGITransport(make_app(engine, server, loop, registry))
        stepping = asyncio.ensure_future(loop.run())
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://emulator") as client:
                await ask(client)
        finally:
            stepping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stepping

    asyncio.run(run())
    return registry
