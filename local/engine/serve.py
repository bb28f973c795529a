"""The life of the process: start-up stages, serving, and the drain that SIGTERM begins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator

import uvicorn
import uvloop
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from local.engine.app import make_app
from local.engine.compile_cache import compiled_path, save
from local.engine.engine_loop import EngineLoop
from local.engine.machine import Machine
from local.engine.metrics import EngineMetrics
from local.engine.refusal import Refused
from local.engine.server_settings import Server
from local.engine.settings import Engine
from local.engine.start import COMPILATION, start_stages
from local.engine.version import ENGINE_VERSION, banner

LOG = logging.getLogger("vllm")

CRASH_SECONDS = 0.5
"""How long the port stays open, and /health says 200, after the process that computes has died: seen with
vLLM 0.32.0 after a kill -9. The process was gone after 2 s."""


class _QuietPaths(logging.Filter):
    """--disable-access-log-for-endpoints."""

    def __init__(self, paths: frozenset[str]) -> None:
        super().__init__()
        self._paths = paths

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args
        return not (isinstance(arguments, tuple) and len(arguments) > 2 and arguments[2] in self._paths)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: a signal first drains the engine."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bound_socket(server: Server) -> socket.socket:
    """The address, taken but not yet open: a port in use is found before the long start, as in vLLM.

    Raises Refused when it cannot be had.
    """
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((server.host, server.port))
    except OSError as error:
        taken.close()
        raise Refused(f"cannot listen on {server.host}:{server.port}: {error.strerror or error}") from None
    return taken


def serve(engine: Engine, server: Server, machine: Machine) -> int:
    """Starts, serves until SIGTERM or SIGINT, drains. Returns the exit status. Raises Refused."""
    logging.basicConfig(
        level=server.log_level.upper().replace("TRACE", "DEBUG"),
        format="%(levelname)s %(asctime)s [%(name)s] %(message)s",
        datefmt="%m-%d %H:%M:%S",
        stream=sys.stdout,
    )
    with bound_socket(server) as address:
        print(banner(engine, machine), flush=True)
        return uvloop.run(_live(engine, server, machine, address))


async def _live(engine: Engine, server: Server, machine: Machine, address: socket.socket) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)  # nothing can hang before it runs
    if not await _start(engine, machine, stopping):
        return 0
    registry = CollectorRegistry()
    for collector in (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR):
        registry.register(collector)
    metrics = EngineMetrics(registry, engine, server) if server.statistics else None
    engine_loop = EngineLoop(engine, server, metrics)
    loop.add_signal_handler(signal.SIGUSR1, engine_loop.hang)
    stepping = asyncio.ensure_future(engine_loop.run())
    http = _Server(_http_configuration(engine, server, engine_loop, registry))
    serving = asyncio.ensure_future(http.serve(sockets=[address]))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((stopped, serving, stepping), return_when=asyncio.FIRST_COMPLETED)
    if stopped.done():
        await _shut_down(engine_loop, server)
    elif engine_loop.dead:
        LOG.error("EngineCore encountered an issue: a request asked the emulator to crash")
        await asyncio.sleep(CRASH_SECONDS)
    stepping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stepping
    http.should_exit = True
    await serving
    return 0 if stopped.done() else 1


async def _start(engine: Engine, machine: Machine, stopping: asyncio.Event) -> bool:
    """Lets the stages pass. False if the process was told to stop meanwhile."""
    began = time.monotonic()
    root = machine.compile_cache
    kept = None if root is None or not engine.graphs else compiled_path(root, engine, ENGINE_VERSION)
    compiled = kept is not None and kept.is_file()
    for stage in start_stages(engine, compiled):
        seconds = stage.seconds * machine.cold_start_scale
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)
        if stopping.is_set():
            return False
        if stage.name == COMPILATION and kept is not None:
            if compiled:
                LOG.info("Directly load AOT compilation from path %s", kept)
            else:
                save(kept)
                LOG.info("saved AOT compiled function to %s", kept)
        LOG.info("%s (%.0f s in a cloud)", stage.line.format(seconds=seconds), stage.seconds)
    LOG.info(
        "GPU KV cache size: %s tokens, Maximum concurrency for %s tokens per request: %.2fx",
        f"{engine.blocks * engine.block_size:,}",
        f"{engine.max_model_len:,}",
        engine.blocks * engine.block_size / engine.max_model_len,
    )
    LOG.info("engine ready after %.2f s; timing is %s", time.monotonic() - began, engine.timing.basis)
    return True


async def _shut_down(engine_loop: EngineLoop, server: Server) -> None:
    """Finishes what is running, for as long as --shutdown-timeout allows; 0, vLLM's default, aborts at once.

    What a drain leaves over is left alone: no byte follows, no end, and the process stays until the last
    caller has gone or something kills it. Real vLLM 0.32.0 and 0.33.0 did this in 7 of 11 runs; in the other
    4 an error came in the stream (or a 500) and the process ended. The emulator always does the worse one.
    """
    timeout = server.shutdown_timeout
    LOG.info("shutdown: mode=%s timeout=%gs", "drain" if timeout else "abort", timeout)
    if timeout:
        left = await engine_loop.drain(timeout)
        if left:
            LOG.warning("shutdown: force killing the engine, %d requests are left without an end", left)
    else:
        LOG.info("shutdown: %d requests aborted", engine_loop.abort_all())


def _http_configuration(
    engine: Engine, server: Server, engine_loop: EngineLoop, registry: CollectorRegistry
) -> uvicorn.Config:
    if server.quiet_paths:
        logging.getLogger("uvicorn.access").addFilter(_QuietPaths(server.quiet_paths))
    return uvicorn.Config(
        make_app(engine, server, engine_loop, registry),
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=server.access_log,
        log_level=server.log_level,
        timeout_graceful_shutdown=None,  # like vLLM's, which waits for its connections without a limit
    )
