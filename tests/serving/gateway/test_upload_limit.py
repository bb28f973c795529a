"""What one team has sent and not finished fills its share of a gateway pod, and no more."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.memory import MEMORY_MIB, MIB, TEAM_SHARE
from serving.gateway.upload_limit import BODY_SECONDS, upload_bucket
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import Gateway, authorization, memory_mib, running

LIMIT = 16 * MIB
HALF_SENT = 60
SENT = LIMIT - MIB
BODY = json.dumps({"model": "chat"}).encode()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), {"chat": [engine.port]}, LIMIT) as started:
        yield started


def headers(team: str) -> dict[str, str]:
    return {"Content-Type": "application/json", **authorization(team)}


def answered(gateway: Gateway, team: str) -> int:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", BODY, headers(team))
        return connection.getresponse().status


def begun(gateway: Gateway, team: str, framing: str) -> socket.socket:
    """A connection on which the head of a request has been sent."""
    host, _, port = gateway.clients.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers(team).items())
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{lines}{framing}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory as Linux shows it")
@pytest.mark.parametrize(
    ("team", "framing", "piece"),
    [
        ("announced", f"Content-Length: {LIMIT}", b"x" * SENT),
        ("chunked", "Transfer-Encoding: chunked", f"{SENT:x}\r\n".encode() + b"x" * SENT),
        ("beyond", "Content-Length: 99999999999", b"x" * SENT),
    ],
)
def test_half_sent_bodies_of_one_team_leave_room_for_others(
    gateway: Gateway, team: str, framing: str, piece: bytes
):
    before = memory_mib(gateway, "VmRSS")

    def half_sent(_: int) -> socket.socket:
        connection = begun(gateway, team, framing)
        with contextlib.suppress(ConnectionError):  # refused, and the gateway reads no more
            connection.sendall(piece)
        return connection

    with contextlib.ExitStack() as connections, ThreadPoolExecutor(HALF_SENT) as senders:
        for connection in senders.map(half_sent, range(HALF_SENT)):
            connections.enter_context(connection)
        assert memory_mib(gateway, "VmRSS") - before < TEAM_SHARE * MEMORY_MIB
        assert answered(gateway, f"others-{team}") == 200


def test_the_refused_team_is_told_when_to_return(gateway: Gateway):
    with contextlib.ExitStack() as connections:
        statuses: list[int] = []
        for _ in range(6):
            connection = connections.enter_context(begun(gateway, "told", f"Content-Length: {LIMIT}"))
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):  # let in, and waited for
                response = http.client.HTTPResponse(connection)
                response.begin()
                statuses.append(response.status)
                assert response.headers["retry-after"] == "5"
                assert json.loads(response.read())["error"]["code"] == "rate_limit_exceeded"
    assert statuses == [429] * 2  # a bucket of 64 MiB holds four


@pytest.mark.parametrize("length", [LIMIT + 1, 70_000_000, 9_999_999_999])
def test_who_announces_too_much_is_not_told_to_come_back(gateway: Gateway, length: int):
    # The buffer refuses as soon as more has come than it takes.
    with begun(gateway, f"long-{length}", f"Content-Length: {length}") as connection:
        connection.sendall(b"x" * (LIMIT + MIB))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 413


@given(request_mib=st.integers(1, 100))
def test_a_bucket_and_what_flows_in_are_the_teams_share(request_mib: int):
    bucket = upload_bucket(request_mib * MIB, MEMORY_MIB)
    assert bucket.at_once >= request_mib * MIB
    assert bucket.at_once + bucket.per_second * BODY_SECONDS <= TEAM_SHARE * MEMORY_MIB * MIB
