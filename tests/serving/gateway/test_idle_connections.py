"""Connections that say nothing, or not enough, keep others out for a while only: less in a crowd."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.gateway import bootstrap, listeners
from tests.certificates import issue
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import JSON, Gateway, running

MOST = 300
LIMIT = 1 << 20
SLACK_SECONDS = 5
"""Envoy looks at its load four times a second; the rest is for a busy machine."""

ENVOYS_DRAIN_SECONDS = 5
"""Envoy adds them to the time of a connection that has had a request."""

UNKNOWN_TOKEN = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_HEAD = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Long: "


def test_the_times_are_what_clients_and_load_balancers_live_with():
    # Above the 60 s of AWS's load balancers, below what a place is worth.
    assert 60 < listeners.IDLE_SECONDS <= 120
    assert listeners.HANDSHAKE_SECONDS == 10


@contextlib.contextmanager
def full(gateway: Gateway, address: str | None, said: bytes, number: int = MOST) -> Iterator[None]:
    """Connections that have said this and say no more, until the bound is reached."""
    assert address is not None
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
            with contextlib.suppress(ConnectionError):
                connection.sendall(said)
        yield


def answered(gateway: Gateway) -> bool:
    """Whether a client with a token is, in TLS where the gateway takes it."""
    if gateway.clients_tls is None:
        connection = http.client.HTTPConnection(gateway.clients, timeout=5)
    else:
        anybody = ssl.create_default_context()
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(gateway.clients_tls, timeout=5, context=anybody)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/v1/models", headers=JSON)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def seconds_until_answered(gateway: Gateway, patience: float) -> float:
    started = time.monotonic()
    while time.monotonic() - started < patience:
        if answered(gateway):
            return time.monotonic() - started
        time.sleep(0.2)
    raise AssertionError(f"no client was answered within {patience:g} s")


def scraped(gateway: Gateway) -> bool:
    """Whether kubelet's probe and Prometheus are answered."""
    for path in ("ready", "stats/prometheus"):
        with urllib.request.urlopen(f"http://{gateway.metrics}/{path}", timeout=5) as reply:
            if reply.status != 200:
                return False
    return True


@pytest.fixture
def few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "MAX_CONNECTIONS", MOST)
    monkeypatch.setattr(listeners, "IDLE_SECONDS", 4)


@pytest.mark.traffic
@pytest.mark.usefixtures("few_connections")
@pytest.mark.parametrize(
    ("said", "seconds"),
    [(b"", 4), (UNKNOWN_TOKEN, 4 + ENVOYS_DRAIN_SECONDS), (HALF_A_HEAD, 10)],
    ids=["nothing", "answered", "half"],
)
def test_whoever_holds_every_connection_loses_them(tmp_path: Path, engine: Engine, said: bytes, seconds: int):
    with running(tmp_path, {"chat": [engine.port]}, LIMIT) as gateway, full(gateway, gateway.clients, said):
        assert not answered(gateway)
        # The pod stays in its Service, and is seen.
        assert scraped(gateway)
        assert seconds_until_answered(gateway, seconds + SLACK_SECONDS) > seconds / 2


@pytest.mark.traffic
def test_handshakes_that_never_begin_are_cut(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "MAX_CONNECTIONS", MOST)
    issue(tmp_path / "certificate")
    with (
        running(tmp_path, {"chat": [engine.port]}, LIMIT, certificate=tmp_path / "certificate") as gateway,
        full(gateway, gateway.clients_tls, b"", MOST - 100),
        # A ClientHello of which the rest never comes.
        full(gateway, gateway.clients_tls, b"\x16\x03\x01\x02\x00\x01", 100),
    ):
        assert not answered(gateway)
        assert seconds_until_answered(gateway, listeners.HANDSHAKE_SECONDS + SLACK_SECONDS) > 3


@pytest.mark.traffic
def test_idle_connections_get_less_time_while_many_stand(tmp_path: Path, engine: Engine):
    # 3,000 connections take 22 MiB: of 64 as much as 20,000 that have been answered of 1,024.
    with (
        running(tmp_path, {"chat": [engine.port]}, LIMIT, memory_mib=64) as gateway,
        full(gateway, gateway.clients, b"", 3000),
    ):
        time.sleep(1)
        assert standing(gateway) >= 3000
        time.sleep(listeners.LEAST_IDLE_SECONDS + SLACK_SECONDS)
        # Those that are left have the more time the fewer they are.
        assert standing(gateway) < 2500
        assert answered(gateway)


def standing(gateway: Gateway) -> int:
    address = f"http://{gateway.admin}/stats?filter=^http.gateway.downstream_cx_active"
    with urllib.request.urlopen(address, timeout=5) as reply:
        return int(reply.read().decode().rpartition(":")[2])


def test_a_streams_silence_is_no_idleness(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listeners, "IDLE_SECONDS", 1)
    with running(tmp_path, {"chat": [engine.port]}, LIMIT) as gateway:
        connection = http.client.HTTPConnection(gateway.clients, timeout=10)
        with contextlib.closing(connection):
            started = time.monotonic()
            connection.request("POST", "/v1/chat/completions", b'{"model": "chat", "stream": true}', JSON)
            time.sleep(2)
            engine.proceed.set()
            response = connection.getresponse()
            assert response.status == 200
            assert response.read()
            assert time.monotonic() - started > 2
