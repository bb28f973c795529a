"""How many streamed tokens per second this machine carries: `python -m local.engine.benchmark --json
out.json`.

Starts replicas of the emulator, reads a fixed number of streamed completions from all of them at once, and
ends. The emulated GPU is fast enough (8B on an H100) that what is measured is this machine: the replicas'
processes, the loopback interface and the reader.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from local.engine.comparison.servers import free_port
from local.engine.machine import ACCELERATOR, COLD_START_SCALE, LISTEN

MODEL = "Qwen/Qwen3-8B"
GPU = "nvidia-h100-80gb"
START_SECONDS = 30
REQUEST_SECONDS = 120


@dataclass(frozen=True)
class Plan:
    """streams: open connections per replica; requests: one after another on each; tokens: of each reply."""

    replicas: int
    streams: int
    requests: int
    tokens: int


@dataclass(frozen=True)
class Streamed:
    """One reply as it was read. first_token_seconds counts from sending the request."""

    tokens: int
    events: int
    first_token_seconds: float


@dataclass(frozen=True)
class Result:
    """listening_seconds: from starting a process to its first answer, the slowest replica's."""

    plan: Plan
    listening_seconds: float
    seconds: float
    tokens: int
    tokens_per_second: float
    tokens_per_event: float
    mean_first_token_seconds: float
    cpus: int


@contextlib.contextmanager
def replica(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A replica's process; it is ended on leaving, and with this process if that is killed."""
    environment = {
        **os.environ,
        ACCELERATOR: GPU,
        COLD_START_SCALE: "0",
        LISTEN: f"127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "local.engine", MODEL, "--uvicorn-log-level", "warning"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_listening(port: int) -> float:
    """Seconds until the replica answers. Raises TimeoutError if it does not."""
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=2)
            return time.monotonic() - began
        time.sleep(0.02)
    raise TimeoutError(f"no replica on port {port} after {START_SECONDS} s")


async def stream_one(port: int, prompt: str, tokens: int) -> Streamed:
    """Reads one streamed completion over a connection of its own. Raises ValueError on an error answer."""
    body = orjson.dumps(
        {
            "prompt": prompt,
            "max_tokens": tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    try:
        writer.write(head.encode() + body)
        first = 0.0
        events = 0
        usage = 0
        async for line in reader:
            if not line.startswith(b"data: {"):
                continue
            events += 1
            if not first:
                first = time.monotonic() - began
            if b'"usage":{' in line:
                usage = orjson.loads(line[6:])["usage"]["completion_tokens"]
    finally:
        writer.close()
    if not usage:
        raise ValueError(f"the replica on port {port} did not finish a stream")
    return Streamed(usage, events - 1, first)  # the event with the usage has no token


async def run(ports: Sequence[int], plan: Plan) -> tuple[list[Streamed], float]:
    """All streams of the plan, and the seconds they took together."""

    async def caller(port: int, name: str) -> list[Streamed]:
        return [
            await asyncio.wait_for(stream_one(port, f"{name} {turn}", plan.tokens), REQUEST_SECONDS)
            for turn in range(plan.requests)
        ]

    began = time.monotonic()
    replies = await asyncio.gather(
        *(caller(port, f"stream {index}") for port in ports for index in range(plan.streams))
    )
    return [reply for each in replies for reply in each], time.monotonic() - began


def measure(plan: Plan) -> Result:
    """Starts the replicas, reads, and ends them."""
    ports = [free_port() for _ in range(plan.replicas)]
    with contextlib.ExitStack() as running:
        for port in ports:
            running.enter_context(replica(port))
        listening = max(wait_until_listening(port) for port in ports)
        replies, seconds = asyncio.run(run(ports, plan))
    tokens = sum(reply.tokens for reply in replies)
    return Result(
        plan=plan,
        listening_seconds=listening,
        seconds=seconds,
        tokens=tokens,
        tokens_per_second=tokens / seconds,
        tokens_per_event=tokens / sum(reply.events for reply in replies),
        mean_first_token_seconds=sum(reply.first_token_seconds for reply in replies) / len(replies),
        cpus=os.cpu_count() or 1,
    )


def show(result: Result) -> None:
    table = Table(
        "replicas", "streams", "tokens", "tokens/s", "tokens/event", "first token", "process start", "CPUs",
        title="Emulator throughput",
    )  # fmt: skip
    table.add_row(
        str(result.plan.replicas),
        str(result.plan.replicas * result.plan.streams),
        f"{result.tokens:,}",
        f"{result.tokens_per_second:,.0f}",
        f"{result.tokens_per_event:.2f}",
        f"{result.mean_first_token_seconds * 1000:.0f} ms",
        f"{result.listening_seconds:.2f} s",
        str(result.cpus),
    )
    Console(width=120).print(table)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.engine.benchmark", description=__doc__)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16, help="open connections per replica")
    parser.add_argument("--requests", type=int, default=3, help="requests on each connection, in turn")
    parser.add_argument("--tokens", type=int, default=200, help="tokens of each reply")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args(arguments)
    result = measure(Plan(options.replicas, options.streams, options.requests, options.tokens))
    show(result)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
