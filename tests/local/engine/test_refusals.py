"""Full queues: what is refused before a response begins, and what only after.

As seen with real servers of vLLM 0.32.0 and 0.33.0: of ten streams at the same moment and a bound of six,
four were `200 text/event-stream` with an error event; 0.1 s apart they were four plain 503.
"""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest

from tests.local.engine.asking import with_server

BUSY = (
    "The engine is currently busy and cannot accept new requests. Please try again later or on a different "
    "instance."
)
ERROR = {"error": {"message": BUSY, "type": "Service Unavailable", "param": None, "code": 503}}
CHAT = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 100}
TEXT = {"prompt": "x", "max_tokens": 100}


def is_refused(answer: httpx.Response) -> bool:
    """Whether it is a refusal, which as a stream must be vLLM's to the letter."""
    if answer.headers["content-type"] == "application/json":
        return "error" in answer.json()
    lines = [line for line in answer.text.splitlines() if line]
    refused = lines[0].startswith('data: {"error": ')
    if refused:
        assert orjson.loads(lines[0].removeprefix("data: ")) == ERROR
        assert lines[1:] == ["data: [DONE]"]
    return refused


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/completions", TEXT)])
@pytest.mark.parametrize(("apart", "status"), [(0.0, 200), (0.1, 503)])
@pytest.mark.parametrize("choices", [1, 2])
def test_streams_refused_in_a_burst_have_begun(
    path: str, body: dict[str, object], apart: float, status: int, choices: int
):
    async def ask(client: httpx.AsyncClient) -> None:
        async def one(at: float) -> httpx.Response:
            await asyncio.sleep(at)
            return await client.post(path, json={**body, "stream": True, "n": choices})

        answers = await asyncio.gather(*(one(apart * index) for index in range(10)))
        refused = [answer for answer in answers if is_refused(answer)]
        assert len(refused) == 10 - 6 // choices
        assert {answer.status_code for answer in refused} == {status}

    registry = with_server(ask, "--max-num-queued-reqs", "6", step_ms=20)
    labels = {"model_name": "chat", "reason": "max_num_queued_reqs"}
    assert registry.get_sample_value("vllm:admission_rejections_total", labels) == 10 - 6 // choices


def test_plain_requests_of_a_burst_are_refused_with_503():
    async def ask(client: httpx.AsyncClient) -> None:
        asked = [client.post("/v1/completions", json=TEXT) for _ in range(10)]
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert sorted(statuses) == [200] * 6 + [503] * 4

    with_server(ask, "--max-num-queued-reqs", "6")


@pytest.mark.parametrize(
    ("prompts", "choices", "streamed", "plain"),
    [
        (6, 1, False, False),
        (7, 1, True, True),
        (3, 3, True, True),
        (2, 3, False, False),
        (1, 7, True, True),
    ],
)
def test_a_list_of_prompts_counts_one_by_one(prompts: int, choices: int, streamed: bool, plain: bool):
    """On an idle server: each prompt alone is below the bound, together they may not be."""
    body = {"prompt": ["x"] * prompts, "n": choices, "max_tokens": 2}

    async def ask(client: httpx.AsyncClient) -> None:
        whole = await client.post("/v1/completions", json=body)
        assert whole.status_code == (503 if plain else 200)
        stream = await client.post("/v1/completions", json={**body, "stream": True})
        assert is_refused(stream) is streamed
        assert stream.status_code == (503 if choices > 6 else 200)
        assert (await client.post("/v1/completions", json={"prompt": "x"})).status_code == 200

    with_server(ask, "--max-num-queued-reqs", "6")


def test_the_backlog_of_prompt_tokens_is_bounded_too():
    async def ask(client: httpx.AsyncClient) -> None:
        body = {"prompt": [[7] * 60, [7] * 60, [7] * 60], "max_tokens": 2, "stream": True}
        answer = await client.post("/v1/completions", json=body)
        assert answer.status_code == 200
        assert "prefill token backlog limit" in answer.text
        body["prompt"] = [[7] * 60, [7] * 60]
        assert "error" not in (await client.post("/v1/completions", json=body)).text

    with_server(ask, "--max-num-queued-tokens", "100")


@pytest.mark.parametrize("choices", [8, 20_000])
def test_the_bound_is_looked_at_before_the_largest_n(choices: int):
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/completions", json={**TEXT, "n": choices})
        assert answer.status_code == 503

    with_server(ask, "--max-num-queued-reqs", "6")
