"""A body without Content-Length counts by what it holds: small ones are free, many long ones are not."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import time
from collections.abc import Iterator, Sequence

import pytest

from serving.gateway.memory import MEMORY_MIB, MIB
from serving.gateway.upload_limit import upload_bucket
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import Gateway, authorization, memory_mib, running

LIMIT = 16 * MIB
SHARE = upload_bucket(LIMIT, MEMORY_MIB).at_once
"""In a thread; the gateway here has one."""

SMALL = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "Hi."}]}).encode()
SILENT = json.dumps({"model": "chat", "stream": True}).encode()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), {"chat": [engine.port]}, LIMIT) as started:
        yield started


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.retry_after = response.headers["retry-after"]
        self.error = json.loads(response.read()).get("error", {})


def ask(gateway: Gateway, team: str, pieces: Sequence[bytes]) -> Reply:
    connection = http.client.HTTPConnection(gateway.clients, timeout=30)
    headers = {"Content-Type": "application/json", **authorization(team)}
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", iter(pieces), headers, encode_chunked=True)
        return Reply(connection.getresponse())


def long_body(length: int) -> list[bytes]:
    return [b'{"model": "chat", "x": "', *([b"x" * MIB] * (length // MIB)), b'"}']


def begun(gateway: Gateway, team: str, length: int) -> socket.socket:
    """A connection on which so much of a body has been sent, and not its end."""
    host, _, port = gateway.clients.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    lines = {"Host": "x", "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **authorization(team)}.items())
    connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode())
    connection.sendall(f"{length:x}\r\n".encode() + b" " * length + b"\r\n")
    return connection


def test_small_ones_pass_however_many(gateway: Gateway):
    # The bytes of the share are 700,000 of them; the count of what has ended goes down.
    assert {ask(gateway, "small", [SMALL]).status for _ in range(300)} == {200}
    assert {ask(gateway, "split", [SMALL[:9], SMALL[9:]]).status for _ in range(60)} == {200}


def test_long_ones_pass_one_after_the_other(gateway: Gateway):
    # Three times the share.
    assert {ask(gateway, "long", long_body(LIMIT - MIB)).status for _ in range(3 * SHARE // LIMIT)} == {200}


def test_what_is_unfinished_bounds_and_is_told(gateway: Gateway):
    with contextlib.ExitStack() as connections:
        before = memory_mib(gateway, "VmRSS")
        for _ in range(3 * SHARE // LIMIT):
            connections.enter_context(begun(gateway, "unfinished", LIMIT - MIB))
        time.sleep(1)
        # Envoy keeps a body once.
        assert memory_mib(gateway, "VmRSS") - before < 1.5 * SHARE / MIB
        refused = ask(gateway, "unfinished", long_body(LIMIT // 2))
        assert (refused.status, refused.retry_after) == (429, "5")
        assert refused.error["code"] == "rate_limit_exceeded"
        assert "Send Content-Length" in refused.error["message"]
        assert ask(gateway, "another", long_body(LIMIT // 2)).status == 200
    # They left: what they held is free at once.
    time.sleep(0.5)
    assert ask(gateway, "unfinished", long_body(LIMIT // 2)).status == 200


def test_what_waits_for_its_answer_counts(gateway: Gateway, engine: Engine):
    engine.proceed.clear()
    body = [b'{"model": "chat", "stream": true, "x": "', *([b"x" * MIB] * 15), b'"}']
    with contextlib.ExitStack() as connections:
        for _ in range(SHARE // LIMIT):
            connection = connections.enter_context(
                contextlib.closing(http.client.HTTPConnection(gateway.clients, timeout=30))
            )
            headers = {"Content-Type": "application/json", **authorization("waiting")}
            connection.request("POST", "/v1/chat/completions", iter(body), headers, encode_chunked=True)
            assert connection.getresponse().status == 200  # and its stream goes on
        assert ask(gateway, "waiting", long_body(8 * MIB)).status == 429
        engine.proceed.set()
    time.sleep(0.5)
    assert ask(gateway, "waiting", long_body(8 * MIB)).status == 200


@pytest.mark.traffic
def test_however_they_end_nothing_stays_counted(gateway: Gateway, engine: Engine):
    choose = random.Random(1)
    ends = ("left", "cut", "answered", "invalid", "too long", "reset", "unknown model")
    for number in range(700):
        end = ends[number % len(ends)]
        if end == "left":
            begun(gateway, "ends", choose.randrange(1, MIB)).close()
        elif end == "cut":
            connection = begun(gateway, "ends", choose.randrange(1, MIB))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        elif end == "answered":
            assert ask(gateway, "ends", long_body(MIB)).status == 200
        elif end == "invalid":
            assert ask(gateway, "ends", [b"{", b"x" * choose.randrange(1, MIB)]).status == 400
        elif end == "too long" and number % 5 == 0:
            with contextlib.suppress(ConnectionError):
                assert ask(gateway, "ends", long_body(LIMIT + MIB)).status == 413
        elif end == "reset":
            engine.refuse_first = 2
            assert ask(gateway, "ends", [SMALL]).status >= 500
            engine.refuse_first = 0
        elif end == "unknown model":
            assert ask(gateway, "ends", [b'{"model": ', b'"nix"}']).status == 404
    time.sleep(0.5)
    # All of the share is there again.
    with contextlib.ExitStack() as connections:
        for _ in range(SHARE // LIMIT - 1):
            connections.enter_context(begun(gateway, "ends", LIMIT - MIB))
        time.sleep(0.5)
        assert ask(gateway, "ends", long_body(LIMIT - MIB)).status == 200
