"""A thousand clients that do not read and a thousand that do not finish: the others notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.gateway.gateway_process import JSON, Gateway, memory_mib, running
from tests.serving.gateway.recording_server import recording

SLOW_READERS = 1000
HALF_OPEN = 1000
ANSWER_BYTES = 1024 * 1024
"""More than all buffers between an engine and a client who does not read: the engine has to wait, too."""

REQUESTS = 100
SLOWEST_SECONDS = 5.0
MEMORY_MIB = 400
"""Of Envoy with 2,000 such connections; 200 KiB for each."""

LIMIT = 4 * 1024 * 1024
CHAT = "/v1/chat/completions"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with recording("large", answer_bytes=ANSWER_BYTES) as large, recording("chat") as chat:
        backends = {"chat": [chat["chat"].port], "large": [large["large"].port]}
        with running(tmp_path, backends, LIMIT) as started:
            yield started


def request(model: str, body_bytes: int | None = None) -> bytes:
    """A request for a model. body_bytes: how much of its body is sent."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x" * 200}]}).encode()
    headers = "".join(f"{name}: {value}\r\n" for name, value in JSON.items())
    head = f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\n{headers}"
    framed = f"{head}Content-Length: {len(body)}\r\n\r\n".encode()
    return framed + (body if body_bytes is None else body[:body_bytes])


async def opened(address: str, sent: bytes) -> socket.socket:
    """A connection with as little room for an answer as the system allows, on which this has been sent."""
    host, _, port = address.rpartition(":")
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
    await asyncio.get_running_loop().sock_sendall(connection, sent)
    return connection


async def answered(address: str, model: str) -> float:
    """Seconds until a whole answer has come."""
    began = time.monotonic()
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request(model))
    status = await reader.readline()
    assert status.split()[1] == b"200", status
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    writer.close()
    return time.monotonic() - began


@pytest.mark.traffic
@pytest.mark.timeout(120)
def test_others_are_answered_beside_two_thousand_slow_clients(gateway: Gateway, record_property: object):
    address = gateway.clients
    half_open = (
        b"",
        b"POST /v1/chat/compl",
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\n".encode(),
        request("chat", body_bytes=0),
        request("chat", body_bytes=20),
    )

    async def run() -> tuple[list[float], float]:
        async with contextlib.AsyncExitStack() as connections:
            for index in range(SLOW_READERS):
                connections.enter_context(await opened(address, request("large")))
                connections.enter_context(await opened(address, half_open[index % len(half_open)]))
            await asyncio.sleep(1)
            seconds = [await answered(address, "chat") for _ in range(REQUESTS)]
            seconds += await asyncio.gather(*(answered(address, "chat") for _ in range(REQUESTS)))
            return seconds, memory_mib(gateway, "VmRSS")

    before = memory_mib(gateway, "VmRSS")
    seconds, memory = asyncio.run(run())
    print(
        f"{SLOW_READERS} slow readers and {HALF_OPEN} half-open requests: {len(seconds)} others answered, "
        f"the slowest after {max(seconds) * 1000:.0f} ms; {memory:.0f} MiB of memory, {before:.0f} before"
    )
    assert max(seconds) < SLOWEST_SECONDS
    assert memory < MEMORY_MIB
    assert asyncio.run(answered(address, "chat")) < SLOWEST_SECONDS
