"""Clients and proxies that speak an older HTTP than OpenAI's: HTTP/1.0, odd headers, silence for minutes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.gateway.listeners import (
    KEEPALIVE_INTERVAL_SECONDS,
    KEEPALIVE_PROBES,
    KEEPALIVE_SECONDS,
    STUCK_SECONDS,
)
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import AUTHORIZATION, Gateway, running

BODY = b'{"model":"chat"}'
STREAM = b'{"model":"chat","stream":true}'
HOST = b"Host: x"
KEEP = b"Connection: keep-alive"
KEEPALIVE_TIMER = "02"
"""Which timer of a socket runs, as /proc/net/tcp has it."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), {"chat": [engine.port]}, 1 << 20) as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(engine: Engine) -> None:
    engine.requests.clear()
    engine.proceed.clear()


def post(version: bytes, *headers: bytes, body: bytes = BODY) -> bytes:
    lines = [
        b"POST /v1/chat/completions HTTP/" + version,
        b"Content-Type: application/json",
        f"Authorization: {AUTHORIZATION['Authorization']}".encode(),
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join([*lines, b"", body])


def connected(gateway: Gateway) -> socket.socket:
    host, _, port = gateway.clients.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def until_the_end(gateway: Gateway, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of what comes until the gateway closes the connection."""
    with connected(gateway) as connection:
        connection.sendall(sent)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


# nginx sends the first; the second has no Host, which HTTP/1.0 does not ask for.
@pytest.mark.parametrize("headers", [(HOST, b"Connection: close"), (), (HOST,)])
def test_http_1_0_is_answered_and_its_connection_closed(
    gateway: Gateway, engine: Engine, headers: tuple[bytes, ...]
):
    head, body = until_the_end(gateway, post(b"1.0", *headers))
    assert head.startswith(b"HTTP/1.0 200")
    assert b"connection: close" in head
    assert body == b'{"port": %d}' % engine.port


def test_a_connection_that_is_to_be_kept_is(gateway: Gateway, engine: Engine):
    with connected(gateway) as connection:
        for count in (1, 2):
            connection.sendall(post(b"1.0", HOST, KEEP))
            received = b""
            while b"}" not in received:
                received += connection.recv(65536)
            assert b"connection: keep-alive" in received
            assert len(engine.requests) == count


@pytest.mark.parametrize("headers", [(HOST,), (HOST, KEEP)])
def test_a_stream_comes_piece_by_piece_without_chunks(
    gateway: Gateway, engine: Engine, headers: tuple[bytes, ...]
):
    with connected(gateway) as connection:
        connection.sendall(post(b"1.0", *headers, body=STREAM))
        received = b""
        # The engine sends the rest only once this has arrived.
        while b"first" not in received:
            received += connection.recv(65536)
        engine.proceed.set()
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"data: first\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(b"1.0").replace(b"Authorization", b"X-Other"), b"401"),
        (post(b"1.0").replace(b"/chat/", b"/other/"), b"404"),
        (post(b"1.0", body=b"{}"), b"400"),
        # Two lengths: a proxy of HTTP/1.0 knows no chunks, and would take what follows for another request.
        (post(b"1.0", b"Transfer-Encoding: chunked"), b"400"),
    ],
)
def test_its_errors_have_openais_shape(gateway: Gateway, engine: Engine, sent: bytes, status: bytes):
    head, body = until_the_end(gateway, sent)
    assert head.startswith(b"HTTP/1.0 " + status)
    assert b'"error"' in body
    assert not engine.requests


@pytest.mark.parametrize("name", [b"X_Team", b"Content_Length", b"_", b"x-request_id", b"Transfer_Encoding"])
def test_a_header_with_an_underscore_is_dropped(gateway: Gateway, engine: Engine, name: bytes):
    head, _ = until_the_end(gateway, post(b"1.1", HOST, b"Connection: close", name + b": 1"))
    assert head.startswith(b"HTTP/1.1 200")
    assert name.decode().lower() not in engine.requests[0][1]


def test_a_silent_client_is_probed_while_it_waits(gateway: Gateway, engine: Engine):
    with connected(gateway) as connection:
        connection.sendall(post(b"1.1", HOST, body=STREAM))
        connection.recv(65536)
        local, remote = (
            f"0100007F:{port:04X}" for port in (connection.getpeername()[1], connection.getsockname()[1])
        )
        lines = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines())
        timers = [fields[5] for fields in lines if fields[1:3] == [local, remote]]
        engine.proceed.set()
    (timer,) = timers
    running_timer, _, left = timer.partition(":")
    assert running_timer == KEEPALIVE_TIMER
    assert 0 < int(left, 16) / 100 <= KEEPALIVE_SECONDS


def test_probes_are_over_when_a_stuck_client_is_cut():
    """Linux gives up at the first unanswered probe after STUCK_SECONDS, however many there were."""
    assert KEEPALIVE_SECONDS + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL_SECONDS <= STUCK_SECONDS
