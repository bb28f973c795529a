"""The routes in this process, on an engine whose steps take a millisecond."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from sizing.capacity.timing import StepTime
from tests.local.engine.asking import with_server


async def complete(client: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await client.post("/v1/completions", json={"prompt": "x", "max_tokens": 2, **fields})


def test_a_full_queue_is_answered_with_503():
    async def ask(client: httpx.AsyncClient) -> None:
        long = asyncio.ensure_future(complete(client, max_tokens=100))
        await asyncio.sleep(0.01)
        refused = await complete(client)
        assert refused.status_code == 503
        assert refused.json()["error"]["type"] == "Service Unavailable"
        assert (await long).status_code == 200
        assert (await complete(client)).status_code == 200

    registry = with_server(ask, "--max-num-queued-reqs", "1")
    labels = {"model_name": "chat", "reason": "max_num_queued_reqs"}
    assert registry.get_sample_value("vllm:admission_rejections_total", labels) == 1


def test_a_key_guards_what_vllm_guards():
    async def ask(client: httpx.AsyncClient) -> None:
        refused = await client.get("/v1/models")
        assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
        for key, status in (("wrong", 401), ("secret", 200), ("other", 200)):
            answer = await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == status
        for path in ("/health", "/metrics", "/version", "/ping", "/load"):
            assert (await client.get(path)).status_code == 200
        open_to_all = await client.post("/invocations", json={"prompt": "x", "max_tokens": 1})
        assert open_to_all.status_code == 200

    with_server(ask, "--api-key", "secret", "other")


@pytest.mark.parametrize("basis", ["measured", "estimated"])
def test_the_version_says_where_the_timing_comes_from(basis: str):
    async def ask(client: httpx.AsyncClient) -> None:
        facts = (await client.get("/version")).json()
        assert facts["emulator"] is True
        assert (facts["timing"], facts["timing_source"]) == (basis, "somewhere")

    timing = StepTime(1.0, 0.0, 0.0, "measured" if basis == "measured" else "estimated", "somewhere")
    with_server(ask, timing=timing)


def test_every_served_name_answers_under_its_own():
    async def ask(client: httpx.AsyncClient) -> None:
        for name in ("one", "two"):
            assert (await complete(client, model=name)).json()["model"] == name
        assert (await complete(client)).json()["model"] == "one"
        assert (await complete(client, model="three")).status_code == 404

    with_server(ask, "--served-model-name", "one", "two")


def test_too_many_choices_are_refused():
    async def ask(client: httpx.AsyncClient) -> None:
        refused = await complete(client, n=20_000)
        assert refused.status_code == 400
        assert "n must be at most 16384, got 20000" in refused.json()["error"]["message"]

    with_server(ask)


def test_a_stream_may_wait_for_several_tokens():
    async def ask(client: httpx.AsyncClient) -> None:
        body = (await complete(client, max_tokens=21, stream=True)).text
        events = [line for line in body.splitlines() if line.startswith("data: {")]
        assert 3 <= len(events) <= 6  # the first token, then ten at a time, then the rest

    with_server(ask, "--stream-interval", "10", step_ms=10)


def test_the_callers_request_id_is_kept():
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post(
            "/v1/completions", json={"prompt": "x", "max_tokens": 1}, headers={"x-request-id": "abc"}
        )
        assert answer.json()["id"] == "cmpl-abc"

    with_server(ask)


def test_cached_tokens_are_told_when_asked_for():
    async def ask(client: httpx.AsyncClient) -> None:
        prompt = "the same prompt " * 40
        await complete(client, prompt=prompt)
        again = (await complete(client, prompt=prompt)).json()
        assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == 144

    with_server(ask, "--enable-prompt-tokens-details")


def test_text_survives_tokenizing():
    async def ask(client: httpx.AsyncClient) -> None:
        tokens = (await client.post("/tokenize", json={"prompt": "Grüße, 世界"})).json()
        assert tokens["count"] == len(tokens["tokens"]) == 4
        text = await client.post("/detokenize", json={"tokens": tokens["tokens"]})
        assert text.json() == {"prompt": "Grüße, 世界"}
        assert (await client.post("/tokenize", json={})).status_code == 400
        assert (await client.post("/detokenize", json={"tokens": ["a"]})).status_code == 400

    with_server(ask)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"null", b"[", b'{"prompt": NaN}', b'{"prompt": "\xff"}', b"[" * 100_000],
    ids=range(7),
)
def test_no_body_breaks_the_server(body: bytes):
    async def ask(client: httpx.AsyncClient) -> None:
        headers = {"content-type": "application/json"}
        answer = await client.post("/v1/completions", content=body, headers=headers)
        assert answer.status_code == 400
        given_up = {"detail": "There was an error parsing the body"}  # FastAPI's, where it has no reason
        if answer.json() != given_up:
            assert answer.json()["error"]["type"] == "Bad Request"

    with_server(ask)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "'loc': 'body', 'msg': 'Field required'"),
        (b"null", 400, "'loc': 'body', 'msg': 'Field required'"),
        (b'\xef\xbb\xbf{"prompt": "x", "max_tokens": 1}', 200, "text_completion"),
        (b'{"prompt": "x", "temperature": NaN}', 400, "temperature must be a finite number, got nan."),
        (b'{"prompt": "x", "temperature": Infinity}', 400, "temperature must be a finite number, got inf."),
        (b'{"prompt": "\\ud800"}', 400, "TextEncodeInput must be Union"),
        (b'{"prompt": "\xff"}', 400, "There was an error parsing the body"),
        (b'{"prompt": ["x", ""]}', 400, "The decoder prompt cannot be empty"),
        (b'{"prompt": [[]]}', 400, "The decoder prompt cannot be empty"),
        (b'{"prompt": []}', 400, "You must pass at least one prompt"),
        (b'{"prompt": "x", "prompt_embeds": "eA=="}', 400, "You must set `--enable-prompt-embeds`"),
    ],
)
def test_odd_bodies_are_read_as_fastapi_reads_them(body: bytes, status: int, said: str):
    """As seen with vLLM 0.32.0."""

    async def ask(client: httpx.AsyncClient) -> None:
        headers = {"content-type": "application/json"}
        answer = await client.post("/v1/completions", content=body, headers=headers)
        assert answer.status_code == status
        assert said in answer.text

    with_server(ask)


def test_requests_are_counted_by_handler_and_status():
    async def ask(client: httpx.AsyncClient) -> None:
        await complete(client)
        await complete(client, model="other")
        await client.get("/somewhere")
        await client.get("/health")

    registry = with_server(ask)

    def counted(handler: str, status: str, method: str = "POST") -> float | None:
        labels = {"handler": handler, "status": status, "method": method}
        return registry.get_sample_value("http_requests_total", labels)

    assert counted("/v1/completions", "2xx") == 1
    assert counted("/v1/completions", "4xx") == 1
    assert counted("none", "4xx", "GET") == 1
    assert counted("/health", "2xx", "GET") is None
