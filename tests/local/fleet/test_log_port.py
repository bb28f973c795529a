from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from local.fleet import log_port
from local.fleet.api import Api, ApiError
from local.fleet.kube import Node
from local.fleet.log_port import LogPort

PORT = 20_001


def node(port: int = 0) -> Node:
    endpoints = {"kubeletEndpoint": {"Port": port}} if port else {}
    return Node.model_validate({"metadata": {"name": "node-1"}, "status": {"daemonEndpoints": endpoints}})


class ServerThatFailsFirst(Api):
    """Fails as often as it is given errors, then writes what it is sent."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors
        self.requests: list[str] = []
        self.node: Node | None = node()

    async def patch(self, path: str, body: Mapping[str, Any], kind: str = "") -> dict[str, Any]:
        self.requests.append(path)
        if self.errors:
            raise self.errors.pop(0)
        self.node = node(body["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"])
        return {}


def announce(server: ServerThatFailsFirst, seconds: float = 5.0) -> None:
    async def run() -> None:
        ports = LogPort(server, PORT, lambda _: server.node)
        async with asyncio.timeout(seconds):
            for _ in range(2):  # a second event of the node meanwhile starts no second writer
                if server.node is not None:
                    ports.announce(server.node)
            while server.node is not None and not ports.is_known(server.node):
                await asyncio.sleep(0)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_port, "AGAIN_SECONDS", 0.0)


def test_the_port_is_written_once() -> None:
    server = ServerThatFailsFirst([])
    announce(server)
    assert server.requests == ["/api/v1/nodes/node-1/status"]
    assert server.node == node(PORT)


def test_a_failed_request_is_repeated_without_another_event_of_the_node() -> None:
    server = ServerThatFailsFirst([ApiError(500, "InternalError", "etcd"), httpx.ReadTimeout("slow")])
    announce(server)
    assert len(server.requests) == 3
    assert server.node == node(PORT)


def test_a_node_of_another_port_is_not_known() -> None:
    ports = LogPort(ServerThatFailsFirst([]), PORT, lambda _: None)
    assert [ports.is_known(node(port)) for port in (0, 10_250, PORT)] == [False, False, True]
