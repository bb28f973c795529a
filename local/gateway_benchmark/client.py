"""Bounded load on one address: as fast as it goes, or at a fixed rate. A process of its own, on its own core.

`wrk` would do the first half; it is not on most machines and cannot send at a rate. This client needs nothing
and costs about 10 us of CPU time per request, so that requests per second are reported per second of the
gateway's CPU time as well: that figure does not depend on who else was the bottleneck.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from local.gateway_benchmark.access import authorization
from local.gateway_benchmark.upstream import MODEL, Shape

PROMPT_BYTES = 2000
"""About 500 tokens of text, as in a short chat."""

ANSWER_SECONDS = 10.0

EXCHANGE_SECONDS = 60.0
"""For a given number of requests, however busy the machine is."""


class BadAnswer(Exception):
    """A reply other than 200, or none in time; the text holds its beginning."""


@dataclass(frozen=True)
class Throughput:
    """requests: answered, in `seconds`."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class Latencies:
    """Seconds from the scheduled time to the last byte, and to the first; late: sent over 1 ms late."""

    total: tuple[float, ...]
    first: tuple[float, ...]
    late: int


def request(port: int, shape: Shape) -> bytes:
    body = json.dumps(
        {
            "model": MODEL,
            "stream": shape == "streamed",
            "max_tokens": 20,
            "messages": [{"role": "user", "content": "word " * (PROMPT_BYTES // 5)}],
        },
        separators=(",", ":"),
    ).encode()
    headers = {
        "host": f"127.0.0.1:{port}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **authorization(),
    }
    lines = ["POST /v1/chat/completions HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection(asyncio.Protocol):
    """One connection on which requests are sent one after another."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[float] | None = None
        self._received = b""
        self._end: int | None = None
        self.first_byte = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, data: bytes) -> asyncio.Future[float]:
        """Sends a request; the result is when its last byte arrived, on time.perf_counter()."""
        assert self._transport is not None
        self._received, self._end = b"", None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._answer

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        if not self._received:
            self.first_byte = time.perf_counter()
        self._received += data
        if self._end is None:
            self._end = answer_length(self._received)
        if self._end is None:
            return
        # 0 stands for a chunked body, which ends with an empty chunk.
        if (self._end == 0 and self._received.endswith(b"0\r\n\r\n")) or (
            self._end and len(self._received) >= self._end
        ):
            if self._received.startswith(b"HTTP/1.1 200"):
                self._answer.set_result(time.perf_counter())
            else:
                self._answer.set_exception(BadAnswer(self._received[:300].decode(errors="replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BadAnswer(f"connection closed in the middle of an answer ({exc})"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def answer_length(received: bytes) -> int | None:
    """Bytes of the whole answer; 0 if its body is chunked; None until the head is there."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        return 0
    return end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])


class Connections:
    """The connections of one measurement, closed at its end whatever happens."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._made: list[Connection] = []

    async def add(self) -> Connection:
        _, line = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._port)
        self._made.append(line)
        return line

    async def __aenter__(self) -> Connections:
        return self

    async def __aexit__(self, *failure: object) -> None:
        for line in self._made:
            line.close()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn


async def saturate(port: int, connections: int, seconds: float, shape: Shape) -> Throughput:
    """As many requests as go through in this time, one at a time on each connection. Raises BadAnswer."""
    data = request(port, shape)
    async with Connections(port) as lines, asyncio.timeout(seconds + ANSWER_SECONDS):
        ready = [await lines.add() for _ in range(connections)]
        began = time.perf_counter()
        ends = began + seconds

        async def caller(line: Connection) -> int:
            count = 0
            while time.perf_counter() < ends:
                await line.ask(data)
                count += 1
            return count

        counts = await asyncio.gather(*map(caller, ready))
        return Throughput(sum(counts), time.perf_counter() - began)


async def exchange(lines: Sequence[Connection], data: bytes, requests: int) -> None:
    """This many requests, one at a time on each connection. Raises BadAnswer."""
    left = requests

    async def caller(line: Connection) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await line.ask(data)

    async with asyncio.timeout(EXCHANGE_SECONDS):
        await asyncio.gather(*map(caller, lines))


async def pace(
    port: int, connections: int, rate: float, seconds: float, seed: int, shape: Shape
) -> Latencies:
    """Poisson arrivals at `rate` per second, whatever becomes of earlier ones. Raises BadAnswer."""
    data = request(port, shape)
    total: list[float] = []
    first: list[float] = []
    late = 0
    source = random.Random(seed)
    async with Connections(port) as lines, asyncio.timeout(seconds + ANSWER_SECONDS):
        free = [await lines.add() for _ in range(connections)]

        async def one(due: float) -> None:
            line = free.pop() if free else await lines.add()
            finished = await line.ask(data)
            total.append(finished - due)
            first.append(line.first_byte - due)
            free.append(line)

        began = time.perf_counter()
        due = began
        requests: list[asyncio.Task[None]] = []
        try:
            while (due := due + source.expovariate(rate)) < began + seconds:
                # The loop's timer is coarse; the rest is waited for in turns, which lets answers in.
                if due - time.perf_counter() > 0.002:
                    await asyncio.sleep(due - time.perf_counter() - 0.001)
                while time.perf_counter() < due:
                    await asyncio.sleep(0)
                late += time.perf_counter() - due > 0.001
                requests.append(asyncio.create_task(one(due)))
            await asyncio.gather(*requests)
        finally:
            for each in requests:
                each.cancel()
    return Latencies(tuple(total), tuple(first), late)
