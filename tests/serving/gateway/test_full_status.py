"""Each engine has its own status for a full queue; clients get the gateway's, and others get the request."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from serving.gateway.served import ServedModel, Upstream
from tests.serving.gateway.engine_server import serving
from tests.serving.gateway.gateway_process import JSON, Gateway, running


def ask(gateway: Gateway) -> tuple[int, str]:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "chat"}), JSON)
    response = connection.getresponse()
    status, text = response.status, response.read().decode()
    connection.close()
    return status, text


@pytest.mark.parametrize("status", [503, 429])
def test_what_an_engine_says_when_it_is_full_is_tried_elsewhere(tmp_path: Path, status: int):
    upstream = Upstream(full_status=status)
    models = [
        ServedModel("chat", "generate", fallback="spare", upstream=upstream),
        ServedModel("spare", "generate", upstream=upstream),
    ]
    with serving() as engine, serving() as spare:
        engine.full_status = spare.full_status = status
        engine.full = True
        backends = {"chat": [engine.port], "spare": [spare.port]}
        with running(tmp_path, backends, 1024 * 1024, models=models) as gateway:
            assert ask(gateway) == (200, json.dumps({"port": spare.port}))
            spare.full = True
            found, text = ask(gateway)
    assert found == 503
    assert "The queues of all replicas of 'chat' are full" in text
