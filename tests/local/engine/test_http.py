"""HTTP itself, as vLLM 0.32.0 (FastAPI behind Starlette's middleware) answers it."""

from __future__ import annotations

import httpx
import pytest

from tests.local.engine.asking import with_server

PREFLIGHT = {"origin": "http://a.b", "access-control-request-method": "POST"}


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", "/health", 405, "GET"),
        ("HEAD", "/v1/models", 405, "GET"),
        ("HEAD", "/v1/chat/completions", 405, "POST"),
        ("HEAD", "/docs", 200, None),
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("PUT", "/v1/completions", 405, "POST"),
        ("DELETE", "/v1/models", 405, "GET"),
        ("POST", "/health", 405, "GET"),
        ("OPTIONS", "/v1/chat/completions", 405, "POST"),
        ("GET", "/ping", 200, None),
        ("POST", "/ping", 200, None),
        ("GET", "/nope", 404, None),
        ("POST", "/v1/nope", 404, None),
        ("GET", "/v1/embeddings", 404, None),
        ("GET", "/v1/models/", 307, None),
    ],
)
def test_methods_and_paths(method: str, path: str, status: int, allow: str | None):
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert answer.headers.get("allow") == allow
        assert answer.headers["vary"] == "Origin"
        if status in (404, 405) and method != "HEAD":
            assert answer.json() == {"detail": "Not Found" if status == 404 else "Method Not Allowed"}

    with_server(ask)


def test_browsers_of_other_origins_are_refused_by_default():
    async def ask(client: httpx.AsyncClient) -> None:
        for path in ("/v1/chat/completions", "/health", "/nope"):
            answer = await client.options(path, headers=PREFLIGHT)
            assert (answer.status_code, answer.text) == (400, "Disallowed CORS origin")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        simple = await client.get("/v1/models", headers={"origin": "http://a.b"})
        assert simple.status_code == 200
        assert "access-control-allow-origin" not in simple.headers
        assert simple.headers["vary"] == "Origin"

    with_server(ask)


def test_origins_can_be_allowed():
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.options("/v1/models", headers=PREFLIGHT)
        assert answer.status_code == 200
        simple = await client.get("/v1/models", headers={"origin": "http://a.b"})
        assert simple.headers["access-control-allow-origin"] == "http://a.b"

    with_server(ask, "--allowed-origins", '["http://a.b"]')


@pytest.mark.parametrize("flags", [(), ("--disable-fastapi-docs",)])
def test_the_documentation_is_open_unless_it_is_turned_off(flags: tuple[str, ...]):
    async def ask(client: httpx.AsyncClient) -> None:
        for path, kind in (
            ("/docs", "text/html"),
            ("/redoc", "text/html"),
            ("/openapi.json", "application/json"),
        ):
            answer = await client.get(path)
            assert answer.status_code == (404 if flags else 200)
            assert flags or answer.headers["content-type"].startswith(kind)

    with_server(ask, "--api-key", "secret", *flags)


def test_what_a_key_refuses_is_in_no_metric():
    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/v1/nope")).status_code == 401
        assert (await client.options("/v1/models", headers=PREFLIGHT)).status_code == 400
        assert (await client.get("/docs")).status_code == 200

    registry = with_server(ask, "--api-key", "secret")
    counted = [
        (sample.labels, sample.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "http_requests_total"
    ]
    assert counted == [({"handler": "/docs", "method": "GET", "status": "2xx"}, 1)]
