"""What the gateway does not take for a request: each refusal has OpenAI's shape and says what to change."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving.gateway.errors import MAX_HEADERS, MAX_HEADERS_KIB
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import AUTHORIZATION, Gateway, running

LIMIT = 1024 * 1024
MODELS = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
TOKEN = f"Authorization: {AUTHORIZATION['Authorization']}\r\n".encode()
BODY = b'{"model":"chat"}'


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway"), {"chat": [engine.port]}, LIMIT) as started:
        yield started


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str | None
    content: Any


def answer(gateway: Gateway, sent: bytes, seconds: float = 5) -> Answer:
    host, _, port = gateway.clients.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection, method=sent.partition(b" ")[0].decode("latin-1"))
        response.begin()
        return Answer(response.status, response.getheader("Content-Type"), json.loads(response.read()))


@pytest.mark.parametrize(
    ("sent", "status", "code", "said"),
    [
        (b"GET /v1/models HTTP/1.1\r\n\r\n", 400, "invalid_http", "Host"),
        (b"\x16\x03\x01\x02\r\n\r\n", 400, "invalid_http", "first line"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_http", "first line"),
        (MODELS.replace(b"/v1/", b"/v1%2f") + TOKEN + b"\r\n", 404, "unknown_url", "/v1/models"),
        (MODELS.replace(b"/v1/", b"/v1/\\%5c") + TOKEN + b"\r\n", 404, "unknown_url", "/v1/models"),
        (MODELS.replace(b"models", b"models#a") + TOKEN + b"\r\n", 400, "invalid_path", "fragment"),
        (MODELS.replace(b"models", b"models%00") + TOKEN + b"\r\n", 400, "invalid_path", "NUL"),
        (POST + b"Content-Length: 1e1\r\n\r\n", 400, "invalid_http", "framed"),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400, "invalid_http", "framed"),
        (
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "invalid_http",
            "framed",
        ),
        (
            MODELS + TOKEN + b"".join(b"X-%d: a\r\n" % number for number in range(MAX_HEADERS)) + b"\r\n",
            431,
            "headers_too_large",
            str(MAX_HEADERS),
        ),
        (
            MODELS + b"X: " + b"a" * MAX_HEADERS_KIB * 1024 + b"\r\n\r\n",
            431,
            "headers_too_large",
            str(MAX_HEADERS_KIB),
        ),
        (
            MODELS + TOKEN + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            400,
            "not_supported",
            "Upgrade",
        ),
    ],
)
def test_what_is_no_request_is_refused_in_openais_shape(
    gateway: Gateway, engine: Engine, sent: bytes, status: int, code: str, said: str
):
    found = answer(gateway, sent)
    assert found.status == status
    assert found.content_type == "application/json"
    error = found.content["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, code)
    assert said in error["message"]
    assert not engine.requests


def test_headers_within_the_limits_pass(gateway: Gateway):
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 500) for number in range(MAX_HEADERS - 10))
    assert answer(gateway, MODELS + TOKEN + many + b"\r\n").status == 200


@pytest.mark.traffic
def test_headers_that_do_not_come_are_waited_for_ten_seconds(gateway: Gateway):
    found = answer(gateway, POST, seconds=15)
    assert found.status == 408
    assert found.content["error"]["code"] == "request_timeout"


@pytest.mark.parametrize(
    "header",
    [
        TOKEN * 2,
        TOKEN + b"Authorization: Bearer x\r\n",
        b"Authorization: Bearer x\r\n" + TOKEN,
        TOKEN.replace(b"Bearer", b"bearer") * 2,
        TOKEN.replace(b"Authorization", b"X-Authorization"),
        TOKEN.replace(b"Authorization", b"Proxy-Authorization"),
    ],
)
def test_a_token_is_given_once_and_where_it_belongs(gateway: Gateway, engine: Engine, header: bytes):
    found = answer(
        gateway, POST + header + f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode() + BODY
    )
    assert found.status == 401
    assert found.content["error"]["code"] == "invalid_api_key"
    assert not engine.requests


def test_a_client_that_waits_for_100_continue_is_answered(tmp_path: Path, engine: Engine):
    with running(tmp_path, {"chat": [engine.port]}, LIMIT) as gateway:
        host, _, port = gateway.clients.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            head = f"Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n".encode()
            connection.sendall(POST + TOKEN + head)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
            connection.sendall(BODY)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    engine.requests.clear()
