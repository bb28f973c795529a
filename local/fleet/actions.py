"""What probes and lifecycle hooks do: an HTTP request, a TCP connection, a command, a pause.

Requests are written by hand on a bare connection: a probe runs every few seconds in every pod beside the
engines that are being measured, and a client library's connection costs ten times as much.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from local.fleet.api import is_loopback
from local.fleet.pod_model import Container, Handler, HttpGetAction
from local.fleet.processes import CannotStart, Result

_BODY_LIMIT = 64 * 1024  # bytes of an answer that are read before the connection is closed


@dataclass(frozen=True)
class Outcome:
    """Whether an action succeeded, and if not, why."""

    succeeded: bool
    message: str = ""


RunCommand = Callable[[list[str], float], Awaitable[Result]]
"""Runs a command in the container's environment for at most the given seconds."""


class Actions:
    """Performs the handlers of one container."""

    def __init__(self, container: Container, ports: Mapping[int, int], run_command: RunCommand) -> None:
        self._named = {port.name: port.container_port for port in container.ports}
        self._ports = ports
        self._run_command = run_command

    async def perform(self, handler: Handler, timeout: float) -> Outcome:
        """Do what the handler says, for at most `timeout` seconds. The container's failures are outcomes."""
        try:
            async with asyncio.timeout(timeout):
                return await self._perform(handler, timeout)
        except TimeoutError:
            return Outcome(False, f"no answer within {timeout:g} s")

    async def _perform(self, handler: Handler, timeout: float) -> Outcome:
        if handler.exec is not None:
            return await self._execute(handler.exec.command, timeout)
        if handler.http_get is not None:
            return await self._request(handler.http_get)
        if handler.tcp_socket is not None:
            return await self._connect(handler.tcp_socket.host, handler.tcp_socket.port)
        if handler.sleep is not None:
            await asyncio.sleep(handler.sleep.seconds)
            return Outcome(True)
        return Outcome(False, "the local fleet performs exec, httpGet, tcpSocket and sleep; use one of them")

    async def _execute(self, command: list[str], timeout: float) -> Outcome:
        try:
            result = await self._run_command(command, timeout)
        except CannotStart as error:
            return Outcome(False, str(error))
        if result.exit_code is None:
            return Outcome(False, f"command {command} did not end within {timeout:g} s")
        if result.exit_code != 0:
            return Outcome(False, f"command {command} exited with {result.exit_code}: {result.output}")
        return Outcome(True)

    async def _request(self, action: HttpGetAction) -> Outcome:
        refusal = _refuse(action.host)
        if refusal is not None:
            return refusal
        port = self._port(action.port)
        path = action.path if action.path.startswith("/") else f"/{action.path}"
        where = f"{action.scheme.lower()} port {action.port} {path}"
        headers = {"Host": f"127.0.0.1:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*"}
        headers |= {header.name: header.value for header in action.http_headers} | {"Connection": "close"}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        try:
            status = await _status("\r\n".join(lines).encode(), port, action.scheme)
        except (OSError, ValueError) as error:
            return Outcome(False, f"{where}: {error}")
        if 200 <= status < 400:
            return Outcome(True)
        return Outcome(False, f"{where}: status {status}")

    async def _connect(self, host: str, port: int | str) -> Outcome:
        refusal = _refuse(host)
        if refusal is not None:
            return refusal
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port(port))
        except OSError as error:
            return Outcome(False, f"port {port}: {error.strerror}")
        await _close(writer)
        return Outcome(True)

    def _port(self, port: int | str) -> int:
        number = self._named.get(port, 0) if isinstance(port, str) else port
        return self._ports.get(number, number)


def _refuse(host: str) -> Outcome | None:
    if host and not is_loopback(host):
        return Outcome(
            False, f"host {host!r} is not this machine, and the local fleet sends nothing elsewhere"
        )
    return None


async def _status(request: bytes, port: int, scheme: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_TLS if scheme == "HTTPS" else None)
    try:
        writer.write(request)
        line = await reader.readline()
        version, status, *_ = line.split(maxsplit=2) if line.count(b" ") else (b"", b"")
        if not version.startswith(b"HTTP/") or not status.isdigit():
            raise ValueError(f"no HTTP answer: {line[:80]!r}")
        # Read on to the end, which is near: a server does not like its answer cut off.
        await reader.read(_BODY_LIMIT)
        return int(status)
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # probes do not verify, under kubelet neither
    return context


_TLS = _unverified()
