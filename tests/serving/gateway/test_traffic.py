"""What the gateway does with real requests: the rendered configuration in the real Envoy."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving.gateway.gateway import DRAIN_SCRIPT
from serving.gateway.served import ServedModel
from tests.listening import listening
from tests.serving.gateway.engine_server import Engine, serving
from tests.serving.gateway.gateway_process import AUTHORIZATION, JSON, Gateway, running, said

LIMIT = 4 * 1024 * 1024
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Engine, Engine]]:
    with serving() as chat, serving() as large:
        yield chat, large


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engines: tuple[Engine, Engine]) -> Iterator[Gateway]:
    backends = {"chat": [engines[0].port], "chat-large": [engines[1].port], "asleep": []}
    with running(tmp_path_factory.mktemp("gateway"), backends, LIMIT) as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(engines: tuple[Engine, Engine]) -> None:
    for engine in engines:
        engine.requests.clear()
        engine.proceed.clear()


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    gateway: Gateway, method: str, path: str, body: bytes | None = None, headers: dict[str, str] = JSON
) -> Reply:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    try:
        connection.request(method, path, body, headers)
        return Reply(connection.getresponse())
    finally:
        connection.close()


def post(gateway: Gateway, body: object, path: str = CHAT, headers: dict[str, str] = JSON) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(gateway, "POST", path, data, headers)


def refused(reply: Reply, status: int, code: str | None) -> str:
    """The message of an error in OpenAI's shape."""
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json) == {"error"}
    error = reply.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    return error["message"]


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", f"{CHAT}?x=1", "//v1//completions"])
def test_the_body_decides_which_model_answers(gateway: Gateway, engines: tuple[Engine, Engine], path: str):
    for engine, model in zip(engines, ("chat", "chat-large"), strict=True):
        reply = post(gateway, {"prompt": "x" * 1000, "model": model}, path)
        assert reply.status == 200
        assert reply.json == {"port": engine.port}


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_every_spelling_of_json(gateway: Gateway, content_type: str):
    assert post(gateway, {"model": "chat"}, headers={**JSON, "Content-Type": content_type}).status == 200


def test_an_unknown_model_is_named_in_openais_shape(gateway: Gateway, engines: tuple[Engine, Engine]):
    message = refused(post(gateway, {"model": 'no"such\nmodel'}), 404, "model_not_found")
    assert 'no"such%0Amodel' in message
    assert "/v1/models" in message
    assert not engines[0].requests


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"{}",
        b"[]",
        b'"chat"',
        b'{"model": null}',
        b'{"model": ["chat"]}',
        b'{"model": {"a": "chat"}}',
        b'{"model": ""}',
        b'{"model": "chat"} trailing',
        b'{"other": {"model": "chat"}}',
        b"\xff\xfe",
    ],
)
def test_what_cannot_be_understood_goes_nowhere(
    gateway: Gateway, engines: tuple[Engine, Engine], body: bytes
):
    message = refused(post(gateway, body), 400, "invalid_body")
    assert "JSON" in message
    assert not any(engine.requests for engine in engines)


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/jsonx"}]
)
def test_a_body_that_does_not_call_itself_json_goes_nowhere(gateway: Gateway, headers: dict[str, str]):
    refused(post(gateway, {"model": "chat"}, headers={**AUTHORIZATION, **headers}), 400, "invalid_body")


@pytest.mark.parametrize("second", ["chat", "chat-large", "none"])
def test_a_model_given_twice_goes_nowhere(gateway: Gateway, engines: tuple[Engine, Engine], second: str):
    for key in ("model", "\\u006dodel"):
        body = f'{{"model": "chat", "{key}": "{second}"}}'.encode()
        assert "more than once" in refused(post(gateway, body), 400, "invalid_body")
    assert not any(engine.requests for engine in engines)


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/", "/health", "/tokenize", "/pause", "/rerank", f"{CHAT}/x", "/v1%2fmodels"],
)
def test_paths_outside_the_list_are_refused(gateway: Gateway, engines: tuple[Engine, Engine], path: str):
    for method in ("GET", "POST"):
        refused(ask(gateway, method, path, b'{"model": "chat"}'), 404, "unknown_url")
    assert not any(engine.requests for engine in engines)


@pytest.mark.parametrize("path", ["/v1/../metrics", f"{CHAT}/../../../metrics", "/v1/%2e%2e/metrics"])
def test_no_detour_leads_to_other_paths(gateway: Gateway, engines: tuple[Engine, Engine], path: str):
    refused(ask(gateway, "POST", path, b'{"model": "chat"}'), 404, "unknown_url")
    assert not engines[0].requests


@pytest.mark.parametrize(
    "path", ["/v1/responses", "/v1/responses/x", "/v1/messages", "/v1/messages/count_tokens"]
)
def test_apis_of_agents_are_refused_with_advice_that_can_be_followed(gateway: Gateway, path: str):
    message = refused(post(gateway, {"model": "chat"}, path), 404, "unknown_url")
    assert "not served by this gateway" in message
    assert CHAT in message
    assert "translates" in message


def test_other_methods_are_refused(gateway: Gateway):
    assert "Use POST" in refused(ask(gateway, "GET", CHAT), 405, "method_not_allowed")
    refused(post(gateway, {"model": "chat"}, "/v1/models"), 405, "method_not_allowed")


def test_the_gateway_itself_lists_the_models(gateway: Gateway):
    reply = ask(gateway, "GET", "/v1/models")
    assert reply.headers["content-type"] == "application/json"
    assert [model["id"] for model in reply.json["data"]] == ["chat", "chat-large", "asleep"]
    assert ask(gateway, "GET", "/v1/models/chat").json["id"] == "chat"


def test_the_body_limit_is_exact(gateway: Gateway, engines: tuple[Engine, Engine]):
    frame = len(b'{"model": "chat", "prompt": ""}')
    fits = {"model": "chat", "prompt": "x" * (LIMIT - frame)}
    assert post(gateway, fits).status == 200
    assert len(engines[0].requests[0][2]) == LIMIT
    engines[0].requests.clear()
    too_long = {"model": "chat", "prompt": "x" * (LIMIT - frame + 1)}
    assert "too large" in refused(post(gateway, too_long), 413, "request_too_large")
    assert not engines[0].requests


def test_the_clients_key_does_not_reach_the_engine(gateway: Gateway, engines: tuple[Engine, Engine]):
    post(gateway, {"model": "chat"}, headers={**JSON, "Cookie": "a=b"})
    _, headers, _ = engines[0].requests[0]
    assert "authorization" not in headers
    assert "cookie" not in headers


def test_a_stream_arrives_piece_by_piece(gateway: Gateway, engines: tuple[Engine, Engine]):
    connection = http.client.HTTPConnection(gateway.clients, timeout=10)
    try:
        connection.request("POST", CHAT, json.dumps({"model": "chat", "stream": True}), JSON)
        response = connection.getresponse()
        # The engine sends the rest only once this has arrived: a gateway that collects would never deliver.
        assert response.readline() == b"data: first\n"
        engines[0].proceed.set()
        assert b"[DONE]" in response.read()
    finally:
        connection.close()


def test_a_cut_connection_is_tried_once_more_before_the_first_byte(
    gateway: Gateway, engines: tuple[Engine, Engine]
):
    engines[0].refuse_first = 1
    assert post(gateway, {"model": "chat", "prompt": "x" * 500_000}).status == 200
    assert len(engines[0].requests) == 2
    # Each time with the whole body.
    assert len({request[2] for request in engines[0].requests}) == 1


def test_readiness_and_metrics_have_a_port_of_their_own(gateway: Gateway):
    connection = http.client.HTTPConnection(gateway.metrics, timeout=10)
    try:
        connection.request("GET", "/ready")
        assert Reply(connection.getresponse()).status == 200
        connection.request("GET", "/stats/prometheus")
        assert b"envoy_http_downstream_rq_total" in Reply(connection.getresponse()).body
        for path in ("/stats", "/quitquitquit", "/config_dump", "/"):
            connection.request("GET", path)
            assert Reply(connection.getresponse()).status == 404
    finally:
        connection.close()


def test_a_new_model_is_served_without_a_restart_and_cuts_no_stream(tmp_path: Path):
    with serving() as chat, serving() as added, running(tmp_path, {"chat": [chat.port]}, LIMIT) as gateway:
        connection = http.client.HTTPConnection(gateway.clients, timeout=20)
        connection.request("POST", CHAT, json.dumps({"model": "chat", "stream": True}), JSON)
        response = connection.getresponse()
        assert response.readline() == b"data: first\n"

        gateway.rewrite({"chat": [chat.port], "added": [added.port]}, LIMIT)
        deadline = time.monotonic() + 10
        while post(gateway, {"model": "added"}).status != 200:
            assert time.monotonic() < deadline, (tmp_path / "envoy.log").read_text(encoding="utf-8")
            time.sleep(0.05)
        chat.proceed.set()
        assert b"[DONE]" in response.read()
        connection.close()


def test_a_leaving_pod_finishes_its_streams(tmp_path: Path):
    with serving() as chat, running(tmp_path, {"chat": [chat.port]}, LIMIT) as gateway:
        connection = http.client.HTTPConnection(gateway.clients, timeout=20)
        connection.request("POST", CHAT, json.dumps({"model": "chat", "stream": True}), JSON)
        response = connection.getresponse()
        assert response.readline() == b"data: first\n"

        drain = start_drain(gateway, minimum=1, maximum=20)
        wait_until(lambda: ready(gateway) == 503)
        time.sleep(1.5)
        assert drain.poll() is None, "the drain ended while a stream was running"
        assert post(gateway, {"model": "chat"}).status == 200, "a draining pod still takes requests"
        threading.Timer(0.2, chat.proceed.set).start()
        assert b"[DONE]" in response.read()
        connection.close()
        assert drain.wait(timeout=10) == 0


def test_a_leaving_pod_serves_kept_alive_connections_once_more_and_says_close(tmp_path: Path):
    with serving() as chat, running(tmp_path, {"chat": [chat.port]}, LIMIT) as gateway:
        kept = http.client.HTTPConnection(gateway.clients, timeout=20)
        body = json.dumps({"model": "chat"})
        kept.request("POST", CHAT, body, JSON)
        assert "connection" not in Reply(kept.getresponse()).headers

        drain = start_drain(gateway, minimum=2, maximum=20)
        wait_until(lambda: ready(gateway) == 503)
        kept.request("POST", CHAT, body, JSON)
        reply = Reply(kept.getresponse())
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        kept.close()
        # The same for who still comes by an old address.
        assert post(gateway, {"model": "chat"}).headers["connection"] == "close"
        assert drain.wait(timeout=10) == 0


def test_a_drain_gives_up_at_its_limit(tmp_path: Path):
    with serving() as chat, running(tmp_path, {"chat": [chat.port]}, LIMIT) as gateway:
        connection = http.client.HTTPConnection(gateway.clients, timeout=20)
        connection.request("POST", CHAT, json.dumps({"model": "chat", "stream": True}), JSON)
        response = connection.getresponse()
        began = time.monotonic()
        assert start_drain(gateway, minimum=0, maximum=2).wait(timeout=10) == 0
        assert 1 <= time.monotonic() - began < 6
        chat.proceed.set()
        response.read()
        connection.close()


def test_a_pod_that_never_listened_to_clients_waits_for_nobody():
    class Admin(BaseHTTPRequestHandler):
        """An Envoy without listeners: it has no count of requests, so nothing matches the filter."""

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: standard error is the test's."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

    admin = ThreadingHTTPServer(("127.0.0.1", 0), Admin)
    environment = {
        **os.environ,
        "ENVOY_ADMIN": f"127.0.0.1:{admin.server_address[1]}",
        "DRAIN_MINIMUM_SECONDS": "0",
        "DRAIN_MAXIMUM_SECONDS": "60",
    }
    with listening(admin):
        done = subprocess.run(["bash", str(DRAIN_SCRIPT)], env=environment, timeout=10, check=False)
    assert done.returncode == 0


def test_a_drain_without_envoy_ends_at_once():
    environment = {
        **os.environ,
        "ENVOY_ADMIN": "127.0.0.1:1",
        "DRAIN_MINIMUM_SECONDS": "5",
        "DRAIN_MAXIMUM_SECONDS": "9",
    }
    done = subprocess.run(
        ["bash", str(DRAIN_SCRIPT)], env=environment, timeout=5, capture_output=True, check=False
    )
    assert done.returncode == 0


def start_drain(gateway: Gateway, minimum: int, maximum: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "ENVOY_ADMIN": gateway.admin,
        "DRAIN_MINIMUM_SECONDS": str(minimum),
        "DRAIN_MAXIMUM_SECONDS": str(maximum),
    }
    return subprocess.Popen(["bash", str(DRAIN_SCRIPT)], env=environment)


def ready(gateway: Gateway) -> int:
    connection = http.client.HTTPConnection(gateway.metrics, timeout=10)
    try:
        connection.request("GET", "/ready")
        return Reply(connection.getresponse()).status
    finally:
        connection.close()


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("count", [1, 50])
def test_envoy_accepts_the_configuration_without_a_warning(tmp_path: Path, count: int):
    log = said(tmp_path, [ServedModel(f"chat-{index}", "generate") for index in range(count)], LIMIT)
    assert "[warning]" not in log
    assert "[error]" not in log
