"""A server that stands for the engines of a model, takes whatever comes, and keeps it for the test to judge.

It speaks HTTP/1.1 by hand: nothing is refused that an engine's own server might accept.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

PIECE = 64 * 1024


@dataclass(frozen=True)
class Received:
    """One request as it arrived: names of headers in lower case, the body without its framing."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found == name), None)

    @property
    def is_check(self) -> bool:
        """Whether the gateway asks if the engine is alive. No client's User-Agent reaches an engine."""
        return (self.method, self.header("user-agent")) == ("HEAD", "Envoy/HC")


@dataclass
class Recorder:
    """What a test sees of the server. answer_bytes: length of each answer, written as fast as it is read."""

    name: str
    answer_bytes: int = 0
    port: int = 0
    requests: list[Received] = field(default_factory=list)

    @cached_property
    def answer(self) -> memoryview:
        opening = b'{"upstream": "%s", "padding": "' % self.name.encode()
        return memoryview(opening + b"x" * self.answer_bytes + b'"}')


@contextmanager
def recording(*names: str, answer_bytes: int = 0) -> Iterator[dict[str, Recorder]]:
    """A server for each name, all on one thread of their own."""
    recorders = {name: Recorder(name, answer_bytes) for name in names}
    started = threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as servers:
            for recorder in recorders.values():
                server = await asyncio.start_server(_handler(recorder), "127.0.0.1", 0, backlog=2048)
                await servers.enter_async_context(server)
                recorder.port = server.sockets[0].getsockname()[1]
            started.set()
            await stopped

    stopped = loop.create_future()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(timeout=10)
    try:
        yield recorders
    finally:
        loop.call_soon_threadsafe(stopped.set_result, None)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _handler(recorder: Recorder):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await _request(reader)
                if request.is_check:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    continue
                recorder.requests.append(request)
                answer = recorder.answer
                head = f"content-type: application/json\r\ncontent-length: {len(answer)}"
                writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
                for at in range(0, len(answer), PIECE):
                    writer.write(answer[at : at + PIECE])
                    await writer.drain()
        writer.close()

    return handle


async def _request(reader: asyncio.StreamReader) -> Received:
    """The next request. Raises IncompleteReadError at the end of the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = [line.partition(":") for line in lines]
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    received = Received(method, path, headers, b"")
    if "chunked" in (received.header("transfer-encoding") or ""):
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(received.header("content-length") or 0))
    return Received(method, path, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return body
