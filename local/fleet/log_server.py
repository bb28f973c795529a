"""Makes `kubectl logs` work: the one request of a kubelet's own API that the fleet answers.

The API server asks the node's kubelet for a container's output, over TLS and without checking the
certificate; the fleet gives every node its own port for that. Output is kept as it was written, without a
time per line, so what needs times is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

from local.fleet.container import Files

_BLOCK = 64 * 1024
_FOLLOW_SECONDS = 0.25  # how often a followed file is looked at: only while somebody follows it


class LogRequestError(Exception):
    """The request cannot be answered; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class LogRequest:
    """What `kubectl logs` asks for. `tail_lines` is None for all lines."""

    namespace: str
    pod: str
    container: str
    tail_lines: int | None = None
    previous: bool = False
    follow: bool = False


def parse_request(target: str) -> LogRequest:
    """The request in an HTTP target.

    Raises:
        LogRequestError: it is another request, or asks for what needs a time per line.
    """
    parts = urlsplit(target)
    path = parts.path.strip("/").split("/")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if len(path) != 4 or path[0] != "containerLogs":
        raise LogRequestError(
            404, "the local fleet answers `kubectl logs` only: no exec, attach or port-forward"
        )
    for name in ("sinceSeconds", "sinceTime", "limitBytes"):
        if name in options:
            raise LogRequestError(400, f"{name}: the local fleet keeps output as written; use --tail")
    return LogRequest(
        *path[1:],
        tail_lines=int(options["tailLines"]) if "tailLines" in options else None,
        previous=options.get("previous") == "true",
        follow=options.get("follow") == "true",
    )


def seek_tail(stream: BinaryIO, lines: int) -> None:
    """Move to where the last `lines` lines of a file begin."""
    end = position = stream.seek(0, 2)
    found = -1  # the newline that ends the last line begins no other
    while position > 0 and lines > 0:
        size = min(_BLOCK, position)
        position -= size
        stream.seek(position)
        block = stream.read(size)
        if position + size == end and not block.endswith(b"\n"):
            found = 0
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == lines:
                stream.seek(position + at + 1)
                return
    stream.seek(0 if lines > 0 else end)


FindFiles = Callable[[str, str, str], Files | None]
"""The files of a container by namespace, pod and container; None where no process of it has run."""


class LogServer:
    """Serves the output of containers on a port of 127.0.0.1.

    `find` looks up a container's files, `running` says whether more output may come.
    """

    def __init__(
        self, tls: ssl.SSLContext, find: FindFiles, running: Callable[[str, str, str], bool]
    ) -> None:
        self._tls = tls
        self._find = find
        self._running = running

    async def run(self, port: int) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self._tls)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = parse_request(head.split(b" ", 2)[1].decode())
            path = self._path(request)
            writer.write(_head(200))
            async for block in self._read(request, path):
                writer.write(block)
                await writer.drain()
        except LogRequestError as error:
            writer.write(_head(error.status) + f"{error}\n".encode())
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the reader has gone away
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _path(self, request: LogRequest) -> Path:
        files = self._find(request.namespace, request.pod, request.container)
        path = None if files is None else (files.previous_log if request.previous else files.log)
        if path is None or not path.exists():
            raise LogRequestError(
                400, f"no process of container {request.container} of pod {request.pod} has written here yet"
            )
        return path

    async def _read(self, request: LogRequest, path: Path) -> AsyncIterator[bytes]:
        with path.open("rb") as stream:
            if request.tail_lines is not None:
                seek_tail(stream, request.tail_lines)
            while True:
                more = request.follow and self._running(request.namespace, request.pod, request.container)
                while block := stream.read(_BLOCK):
                    yield block
                if not more:
                    return
                await asyncio.sleep(_FOLLOW_SECONDS)


def _head(status: int) -> bytes:
    reason = {200: "OK", 400: "Bad Request", 404: "Not Found"}[status]
    return f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n".encode()
