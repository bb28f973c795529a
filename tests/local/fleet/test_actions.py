from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from local.fleet.actions import Actions, Outcome
from local.fleet.pod_model import Handler
from local.fleet.processes import CannotStart, Result
from tests.local.fleet.conftest import MakePod

Perform = Callable[..., Outcome]


@pytest.fixture
def perform(make_pod: MakePod) -> Perform:
    """Performs a handler against a server behind port `http` = 8000 that answers with `answer`."""

    def act(handler: dict[str, Any], answer: bytes | None = None, timeout: float = 1.0) -> Outcome:
        return asyncio.run(scenario(handler, answer, timeout))

    async def scenario(handler: dict[str, Any], answer: bytes | None, timeout: float) -> Outcome:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                if answer is None:
                    await asyncio.sleep(30)
                else:
                    writer.write(answer)
                    await writer.drain()
            except asyncio.IncompleteReadError:
                pass  # a TCP probe says nothing
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        real = server.sockets[0].getsockname()[1]
        container = make_pod(ports=[{"name": "http", "containerPort": 8000}]).spec.containers[0]
        actions = Actions(container, {8000: real, 8001: 1}, commands)
        outcome = await actions.perform(Handler.model_validate(handler), timeout)
        server.close()
        return outcome

    return act


async def commands(command: list[str], timeout: float) -> Result:
    if command == ["missing"]:
        raise CannotStart("'missing': executable file not found in $PATH")
    return {"ok": Result(0, ""), "bad": Result(3, "broken"), "slow": Result(None, "")}[command[0]]


@pytest.mark.parametrize(
    ("status", "succeeded"), [(b"200 OK", True), (b"302 Found", True), (b"404 No", False), (b"503 No", False)]
)
def test_http_status_decides(perform: Perform, status: bytes, succeeded: bool) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok"
    assert perform({"httpGet": {"port": "http", "path": "/health"}}, answer).succeeded is succeeded
    assert perform({"httpGet": {"port": 8000}}, answer).succeeded is succeeded


@pytest.mark.parametrize(
    ("handler", "answer", "message"),
    [
        (
            {"httpGet": {"port": "http", "path": "/health"}},
            b"HTTP/1.1 503 No\r\n\r\n",
            "port http /health: status 503",
        ),
        ({"httpGet": {"port": "http"}}, b"", "no HTTP answer"),
        ({"httpGet": {"port": "http"}}, b"SSH-2.0 hello\r\n", "no HTTP answer"),
        ({"httpGet": {"port": "http"}}, None, "no answer within 0.2 s"),
        ({"httpGet": {"port": 8001}}, b"", "port 8001"),
        ({"httpGet": {"port": 8000, "host": "192.0.2.1"}}, b"", "sends nothing elsewhere"),
        ({"tcpSocket": {"port": 8001}}, b"", "port 8001"),
        ({"tcpSocket": {"port": 8000, "host": "example.com"}}, b"", "sends nothing elsewhere"),
        ({"exec": {"command": ["bad"]}}, b"", "exited with 3: broken"),
        ({"exec": {"command": ["slow"]}}, b"", "did not end"),
        ({"exec": {"command": ["missing"]}}, b"", "executable file not found"),
        ({"grpc": {"port": 8000}}, b"", "exec, httpGet, tcpSocket and sleep"),
    ],
)
def test_failures_say_why(
    perform: Perform, handler: dict[str, Any], answer: bytes | None, message: str
) -> None:
    outcome = perform(handler, answer, timeout=0.2)
    assert not outcome.succeeded
    assert message in outcome.message


@pytest.mark.parametrize(
    "handler", [{"tcpSocket": {"port": "http"}}, {"exec": {"command": ["ok"]}}, {"sleep": {"seconds": 0}}]
)
def test_the_other_actions_succeed(perform: Perform, handler: dict[str, Any]) -> None:
    assert perform(handler).succeeded


def test_headers_reach_the_server(make_pod: MakePod) -> None:
    async def scenario() -> bytes:
        received: asyncio.Queue[bytes] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.put_nowait(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        actions = Actions(make_pod().spec.containers[0], {8000: port}, commands)
        headers = [{"name": "Host", "value": "chat"}, {"name": "X-Probe", "value": "1"}]
        handler = Handler.model_validate({"httpGet": {"port": 8000, "path": "x", "httpHeaders": headers}})
        await actions.perform(handler, 1.0)
        server.close()
        return await received.get()

    request = asyncio.run(scenario())
    assert request.startswith(b"GET /x HTTP/1.1\r\nHost: chat\r\n")
    assert b"X-Probe: 1\r\n" in request
