"""Bodies that no model will read are refused by their headers: nothing of them is waited for, or kept."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.gateway.memory import MEMORY_MIB, MIB, TEAM_SHARE
from serving.gateway.paths import all_paths
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import Gateway, authorization, memory_mib, running

LIMIT = 16 * MIB
HALF_SENT = 60
SENT = LIMIT - MIB

METHODS = ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND")
PATHS = (*all_paths(), "/v1/models", "/v1/models/chat", "/v1/unknown", "/", "/metrics", "/v1/responses")
POSTS = ("/v1/models", "/v1/models/chat", "/v1/unknown", "/", "/metrics", "/v1/audio/speech", "/v1/responses")
FRAMINGS = {
    "announced": (f"Content-Length: {LIMIT}", b"x" * SENT),
    "chunked": ("Transfer-Encoding: chunked", f"{SENT:x}\r\n".encode() + b"x" * SENT),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), {"chat": [engine.port]}, LIMIT) as started:
        yield started


def begun(gateway: Gateway, team: str, method: str, path: str, *headers: str) -> socket.socket:
    """A connection on which the head of a request has been sent."""
    host, _, port = gateway.clients.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: {authorization(team)['Authorization']}"]
    connection.sendall(("\r\n".join((*lines, *headers)) + "\r\n\r\n").encode())
    return connection


def status(connection: socket.socket, method: str) -> int:
    with contextlib.closing(connection):
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        response.read()
        return response.status


TEAM_NUMBERS = itertools.count()
JSON_TYPE = "Content-Type: application/json"


@pytest.mark.parametrize("framing", FRAMINGS)
def test_what_the_headers_refuse_is_answered_before_the_body(gateway: Gateway, framing: str):
    announced, _ = FRAMINGS[framing]
    requests = [
        *((method, path, JSON_TYPE) for method, path in itertools.product(METHODS, PATHS)),
        *(("POST", path, JSON_TYPE) for path in POSTS),
        *(
            ("POST", path, f"Content-Type: {other}")
            for path in all_paths()
            for other in ("text/plain", "application/xml")
        ),
        *(("POST", path, "Accept: */*") for path in all_paths()),
        *(("POST", path, f"{JSON_TYPE}\r\nContent-Encoding: gzip") for path in all_paths()),
    ]
    # A team for each: the bytes that a request announces count, whatever becomes of it.
    answers = {
        (method, path, more): status(
            begun(gateway, f"at-once-{framing}-{number}", method, path, more, announced), method
        )
        for number, (method, path, more) in enumerate(requests)
    }
    assert set(answers.values()) <= {200, 400, 404, 405}
    assert all(
        code == 200
        for (method, path, _), code in answers.items()
        if method == "GET" and path in {"/v1/models", "/v1/models/chat"}
    )
    assert {
        code for (method, path, _), code in answers.items() if method == "POST" and path in all_paths()
    } == {400}


@pytest.mark.traffic
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory as Linux shows it")
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, "/v1/chat/completions") for method in METHODS),
        ("GET", "/v1/models"),
        ("GET", "/v1/unknown"),
        ("PUT", "/v1/unknown"),
        ("POST", "/v1/unknown"),
        ("POST", "/v1/models"),
    ],
)
def test_half_sent_bodies_of_any_method_take_no_memory_and_leave_others_served(
    gateway: Gateway, method: str, path: str, framing: str
):
    announced, piece = FRAMINGS[framing]
    team = f"half-{next(TEAM_NUMBERS)}"
    before = memory_mib(gateway, "VmRSS")

    def half_sent(_: int) -> socket.socket:
        connection = begun(gateway, team, method, path, JSON_TYPE, announced)
        with contextlib.suppress(ConnectionError, TimeoutError):  # refused, and the gateway reads no more
            connection.sendall(piece)
        return connection

    with contextlib.ExitStack() as connections, ThreadPoolExecutor(HALF_SENT) as senders:
        for connection in senders.map(half_sent, range(HALF_SENT)):
            connections.enter_context(connection)
        # Read and thrown away until the connection closes, a second after its answer.
        assert memory_mib(gateway, "VmRSS") - before < TEAM_SHARE * MEMORY_MIB / 4
        body = json.dumps({"model": "chat"}).encode()
        other = begun(
            gateway,
            f"others-{team}",
            "POST",
            "/v1/chat/completions",
            JSON_TYPE,
            f"Content-Length: {len(body)}",
        )
        other.sendall(body)
        assert status(other, "POST") == 200
