"""What the gateway writes down about real requests, and what it does not."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path

from tests.serving.gateway.engine_server import serving
from tests.serving.gateway.gateway_process import AUTHORIZATION, JSON, Gateway, access_log_lines, running

SECRET = "the-prompt-that-nobody-else-reads"


def sent(gateway: Gateway, body: object, headers: dict[str, str] = JSON) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    connection.request(
        "POST", f"/v1/chat/completions?key={SECRET}", json.dumps(body), {**headers, "Connection": "close"}
    )
    return connection.getresponse()


def test_a_line_says_who_asked_what_and_how_it_ended(tmp_path: Path):
    with serving() as engine, running(tmp_path, {"chat": [engine.port]}, 1 << 20) as gateway:
        sent(gateway, {"model": "chat", "prompt": SECRET}).read()
        stream = sent(gateway, {"model": "chat", "stream": True, "prompt": SECRET})
        assert stream.readline() == b"data: first\n"
        time.sleep(0.2)
        engine.proceed.set()
        stream.read()
        sent(gateway, {"model": "chat", "prompt": SECRET}, {"Content-Type": "application/json"}).read()
    whole, streamed, refused = access_log_lines(tmp_path)
    assert whole["model"] == "chat"
    assert whole["team"] == "search"
    assert len(whole["jti"]) >= 8
    assert (whole["status"], whole["path"], whole["details"]) == (200, "/v1/chat/completions", "via_upstream")
    assert whole["bytes_received"] > 0
    assert streamed["milliseconds"] >= 200
    assert streamed["ttft_milliseconds"] < 150
    assert (refused["status"], refused["team"], refused["ttft_milliseconds"]) == (401, None, None)
    text = (tmp_path / "envoy.log").read_text(encoding="utf-8")
    assert SECRET not in text
    assert AUTHORIZATION["Authorization"].split()[1] not in text
