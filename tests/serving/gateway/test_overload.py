"""Too little memory, and clients that read nothing: both are refused before they end everybody's streams."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from serving.gateway import listeners
from serving.gateway.served import ServedModel
from tests.serving.gateway.gateway_process import JSON, running, said
from tests.serving.gateway.recording_server import recording

LIMIT = 4 * 1024 * 1024
BODY = json.dumps({"model": "chat", "messages": []}).encode()
ANSWER_BYTES = 64 * 1024 * 1024
"""More than a system buffers between two sockets on loopback."""


def test_envoy_takes_the_configuration_without_a_warning(tmp_path: Path):
    assert "warn" not in said(tmp_path, [ServedModel("chat", "generate")], LIMIT).lower()


def test_without_memory_requests_are_refused_as_openai_refuses_them(tmp_path: Path):
    # Less than Envoy itself needs, so it is overloaded from its first look on.
    with (
        recording("chat") as chat,
        running(tmp_path, {"chat": [chat["chat"].port]}, LIMIT, memory_mib=1) as gateway,
    ):
        time.sleep(1)
        request = urllib.request.Request(f"http://{gateway.clients}/v1/chat/completions", BODY, JSON)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        with refused.value as reply:
            assert (reply.code, reply.headers["retry-after"]) == (503, "5")
            assert json.load(reply)["error"]["code"] == "overloaded"


@pytest.mark.traffic
def test_who_reads_nothing_is_cut_and_who_reads_slowly_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listeners, "STUCK_SECONDS", 2)
    head = "".join(f"{name}: {value}\r\n" for name, value in JSON.items())
    asked = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(BODY)}\r\n\r\n"
    with (
        recording("chat", answer_bytes=ANSWER_BYTES) as chat,
        running(tmp_path, {"chat": [chat["chat"].port]}, LIMIT) as gateway,
        socket.socket() as stuck,
        socket.socket() as slow,
    ):
        host, _, port = gateway.clients.rpartition(":")
        for client in (stuck, slow):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.connect((host, int(port)))
            client.sendall(asked.encode() + BODY)
        for _ in range(24):
            time.sleep(0.25)
            assert slow.recv(1024 * 1024)
        with pytest.raises(ConnectionError):
            received(stuck)


def received(client: socket.socket) -> int:
    """Bytes until the answer's end. Raises ConnectionError for one that is cut."""
    client.settimeout(10)
    total = 0
    while part := client.recv(1024 * 1024):
        total += len(part)
    if total < ANSWER_BYTES:
        raise ConnectionResetError(f"the answer ended after {total} bytes")
    return total
