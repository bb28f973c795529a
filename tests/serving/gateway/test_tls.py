"""Whole requests in TLS through the rendered gateway, and a renewed certificate without a restart."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from serving.gateway.documents import to_yaml
from serving.gateway.listeners import listener_documents
from tests.certificates import issue
from tests.serving.gateway.engine_server import Engine, serving
from tests.serving.gateway.gateway_process import AUTHORIZATION, JSON, Gateway, running

LIMIT = 1 << 20
SECONDS = 10


def trusting(certificate: x509.Certificate) -> ssl.SSLContext:
    """What a client needs that believes this certificate and no other."""
    return ssl.create_default_context(
        cadata=certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    )


def handshake(address: str, context: ssl.SSLContext) -> str | None:
    """The protocol that both agree on. Raises OSError unless the certificate is believed."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 2) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        return secure.selected_alpn_protocol()


def shown(address: str, certificate: x509.Certificate) -> None:
    """Waits until this certificate is the one that clients see."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            handshake(address, trusting(certificate))
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no handshake with this certificate within {SECONDS} s")


@pytest.fixture
def certificate(tmp_path: Path) -> x509.Certificate:
    return issue(tmp_path / "certificate")


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One whose stream no other test lets go on."""
    with serving() as started:
        yield started


@pytest.fixture
def gateway(tmp_path: Path, certificate: x509.Certificate, engine: Engine) -> Iterator[Gateway]:
    folder = tmp_path / "certificate"
    with running(tmp_path, {"chat": [engine.port]}, LIMIT, certificate=folder) as started:
        yield started


def encrypted(gateway: Gateway) -> str:
    assert gateway.clients_tls is not None
    return gateway.clients_tls


def test_openais_client_is_answered_and_judged_as_without_tls(
    gateway: Gateway, engine: Engine, certificate: x509.Certificate
):
    token = AUTHORIZATION["Authorization"].removeprefix("Bearer ")
    with (
        openai.DefaultHttpxClient(verify=trusting(certificate), trust_env=False) as transport,
        openai.OpenAI(
            base_url=f"https://{encrypted(gateway)}/v1", api_key=token, http_client=transport, max_retries=0
        ) as client,
    ):
        assert [model.id for model in client.models.list()] == ["chat"]
        raw = client.chat.completions.with_raw_response.create(model="chat", messages=[])
        assert json.loads(raw.text) == {"port": engine.port}
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nobody", messages=[])
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="made-up").models.list()


def test_a_renewed_certificate_cuts_no_stream_and_restarts_nothing(
    tmp_path: Path, gateway: Gateway, engine: Engine, certificate: x509.Certificate
):
    connection = http.client.HTTPSConnection(
        encrypted(gateway), timeout=SECONDS, context=trusting(certificate)
    )
    body = json.dumps({"model": "chat", "stream": True})
    connection.request("POST", "/v1/chat/completions", body, {**JSON, "Connection": "close"})
    stream = connection.getresponse()
    assert stream.readline() == b"data: first\n"
    shown(encrypted(gateway), issue(tmp_path / "certificate"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(encrypted(gateway), trusting(certificate))
    engine.proceed.set()
    assert stream.read().endswith(b"data: [DONE]\n\n")
    assert gateway.process.poll() is None


def test_http_2_is_not_agreed_on(gateway: Gateway, certificate: x509.Certificate):
    context = trusting(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    assert handshake(encrypted(gateway), context) == "http/1.1"


def test_tls_has_a_listener_of_its_own():
    plain, secured = to_yaml(listener_documents(1024)), to_yaml(listener_documents(1024, tls=True))
    assert "transport_socket" not in plain
    assert "port_value: 8443" not in plain
    assert secured.count("port_value: 8443") == secured.count("transport_socket:") == 1
    assert secured.count("port_value: 8080") == 1
