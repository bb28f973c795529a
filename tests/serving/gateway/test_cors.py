"""Web pages that ask from a browser: the origins that a stack names, and no other."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from stacks.load import parse
from stacks.problems import StackError
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import AUTHORIZATION, JSON, Gateway, running
from tests.stacks.environments import local_values

PAGE = "https://app.example.com"
LOCAL_PAGE = "http://localhost:3000"
CHAT = "/v1/chat/completions"
STRANGERS = [
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://xapp.example.com",
    "https://app.example.com/",
    "https://APP.example.com",
    "null",
    "*",
    "",
]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def for_pages(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.startswith("access-control-")}


def ask(
    gateway: Gateway, method: str, path: str, headers: Mapping[str, str], body: str | None = None
) -> Answer:
    connection = http.client.HTTPConnection(gateway.clients, timeout=10)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


def preflight(gateway: Gateway, origin: str, path: str = CHAT) -> Answer:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-os",
    }
    return ask(gateway, "OPTIONS", path, {"Origin": origin, **asked})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    backends = {"chat": [engine.port], "asleep": []}
    with running(folder, backends, 1 << 20, allowed_origins=(PAGE, LOCAL_PAGE)) as started:
        yield started


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/chat", "/v1/embeddings"])
@pytest.mark.parametrize("origin", [PAGE, LOCAL_PAGE])
def test_a_preflight_is_answered_without_a_token(gateway: Gateway, engine: Engine, origin: str, path: str):
    answer = preflight(gateway, origin, path)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-allow-headers"] == "authorization, *"
    assert "access-control-allow-credentials" not in answer.headers
    assert not engine.requests


@pytest.mark.parametrize("origin", STRANGERS)
def test_another_origin_gets_no_header(gateway: Gateway, engine: Engine, origin: str):
    engine.requests.clear()
    answer = preflight(gateway, origin)
    assert answer.status == 401
    assert not answer.for_pages
    assert json.loads(answer.content)["error"]["code"] == "invalid_api_key"
    assert not engine.requests
    assert not ask(gateway, "POST", CHAT, {**JSON, "Origin": origin}, '{"model":"chat"}').for_pages


@pytest.mark.parametrize(
    ("headers", "path", "body", "status"),
    [
        (JSON, CHAT, '{"model":"chat"}', 200),
        ({"Content-Type": "application/json"}, CHAT, '{"model":"chat"}', 401),
        ({**JSON, "Authorization": "Bearer x.y.z"}, CHAT, '{"model":"chat"}', 401),
        (JSON, CHAT, '{"model":"none"}', 404),
        (JSON, CHAT, "{", 400),
        (JSON, "/v1/none", "{}", 404),
        (JSON, CHAT, '{"model":"asleep"}', 503),
        (JSON, CHAT, "x" * (1 << 20) + "x", 413),
    ],
)
def test_every_answer_has_the_headers_errors_too(
    gateway: Gateway, headers: Mapping[str, str], path: str, body: str, status: int
):
    answer = ask(gateway, "POST", path, {**headers, "Origin": PAGE}, body)
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    readable = answer.headers["access-control-expose-headers"]
    assert "x-request-id" in readable
    assert "retry-after" in readable


def test_a_page_still_needs_a_token_and_a_preflight_is_no_request(gateway: Gateway, engine: Engine):
    engine.requests.clear()
    plain = ask(gateway, "OPTIONS", CHAT, {"Origin": PAGE})
    assert plain.status == 401
    models = ask(gateway, "GET", "/v1/models", {**AUTHORIZATION, "Origin": PAGE})
    assert (models.status, models.headers["access-control-allow-origin"]) == (200, PAGE)
    assert not engine.requests


def test_without_the_key_no_origin_is_known(tmp_path_factory: pytest.TempPathFactory, engine: Engine):
    with running(tmp_path_factory.mktemp("closed"), {"chat": [engine.port]}, 1 << 20) as gateway:
        answer = preflight(gateway, PAGE)
        assert (answer.status, answer.for_pages) == (401, {})
        assert not ask(gateway, "POST", CHAT, {**JSON, "Origin": PAGE}, '{"model":"chat"}').for_pages


def values(origins: object) -> dict[str, Any]:
    changed = local_values()
    changed["gateway"]["cors"] = {"allowed_origins": origins}
    return changed


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "app.example.com",
        "https://app.example.com/",
        "https://*.example.com",
        "ftp://a.b",
        "https://A.b",
    ],
)
def test_what_is_no_origin_is_one_line_of_error(origin: str):
    with pytest.raises(StackError, match=r"gateway.cors.allowed_origins\[0\]"):
        parse(values([origin]), "Pulumi.test.yaml")


def test_origins_of_a_stack_file():
    section = parse(values([PAGE, LOCAL_PAGE]), "Pulumi.test.yaml").gateway.cors
    assert section is not None
    assert section.allowed_origins == (PAGE, LOCAL_PAGE)
