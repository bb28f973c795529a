"""The client against a small server that answers as engines and gateways do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import orjson
import pytest
from aiohttp import web

from local.load.arrivals import Arrival
from local.load.bodies import PATHS, body, texts
from local.load.client import Client, Outcome
from sizing.models.task import Task
from tests.serving.verify.streamed import DONE as STREAM_DONE
from tests.serving.verify.streamed import EMPTY, ERRORS, ROLE, WRITTEN, Form, chunk, usage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ARRIVAL = Arrival(number=3, at=0.0, phase="only", prompt_tokens=50, output_tokens=5)


def event(text: str) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}) + b"\n\n"


OPENING = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":50,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def streams(*parts: bytes, pause: float = 0.0) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(pause)
        return response

    return answer


def sent(
    handler: Handler,
    retries: int = 0,
    limit: float = 5.0,
    task: Task = "generate",
    arrival: Arrival = ARRIVAL,
) -> Outcome:
    async def go() -> Outcome:
        app = web.Application()
        app.router.add_post(PATHS[task], handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0][:2]
            async with aiohttp.ClientSession() as session:
                client = Client(session, f"http://{host}:{port}", "chat", task, limit, retries)
                return await client.send(arrival, time.monotonic())
        finally:
            await runner.cleanup()

    return asyncio.run(go())


def test_a_streamed_answer_is_timed():
    found = sent(streams(OPENING, event("a"), event("b"), event("c"), USAGE, DONE, pause=0.05))
    assert found.failure is None
    assert found.tokens == 3
    assert len(found.gaps) == 2
    # The opening event carries no token: the first one comes 50 ms after it.
    assert found.first_token is not None
    assert 0.05 <= found.first_token < found.total
    assert found.inter_token == pytest.approx(sum(found.gaps) / 2)


def test_events_of_several_tokens_count_as_the_engine_counted():
    found = sent(streams(event("a"), event("b c"), USAGE, DONE, pause=0.02))
    assert found.tokens == 3
    assert found.inter_token == pytest.approx(found.gaps[0] / 2)


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("space", ["", " "])
def test_whatever_a_model_writes_is_a_token(written: dict[str, object], space: str):
    found = sent(streams(Form(space=space).lines([chunk(ROLE), chunk(written), chunk(written), STREAM_DONE])))
    assert (found.failure, found.tokens, len(found.gaps)) == (None, 2, 1)


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY.keys())
def test_nothing_written_is_no_token(empty: dict[str, object]):
    assert sent(streams(Form().lines([chunk(empty), STREAM_DONE]))).failure == "empty"


def test_tokens_that_a_parser_holds_back_are_counted_by_the_engine():
    found = sent(streams(Form().lines([chunk(ROLE), chunk({}, "length"), usage(16), STREAM_DONE])))
    assert (found.failure, found.tokens) == (None, 16)
    assert found.first_token is not None


@pytest.mark.parametrize(("error", "words"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_in_a_stream_is_a_failure_with_its_text(error: str, words: str):
    found = sent(streams(Form().lines([error, STREAM_DONE])))
    assert found.failure == "error in stream"
    assert words.partition(" ")[0].strip('{"') in found.detail


@pytest.mark.parametrize(
    ("parts", "failure"),
    [
        ((event("a"), event("b")), "cut off"),
        ((OPENING, DONE), "empty"),
        ((event("a"), b'data: {"error": {"message": "gone"}}\n\n'), "error in stream"),
    ],
)
def test_broken_streams_are_failures(parts: tuple[bytes, ...], failure: str):
    assert sent(streams(*parts)).failure == failure


def test_the_time_limit_is_a_failure():
    found = sent(streams(event("a"), event("b"), pause=1.0), limit=0.3)
    assert found.failure == "too slow"
    assert found.first_token is not None


def test_refusals_are_retried_when_told_to():
    calls = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        if calls == 1:
            return web.json_response({"error": {}}, status=503, headers={"retry-after": "0"})
        return await streams(event("a"), USAGE, DONE)(request)

    found = sent(answer, retries=1)
    assert (found.failure, found.attempts, found.status) == (None, 2, 200)


def test_refusals_are_failures_without_retries():
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "full"}}, status=503, headers={"retry-after": "1"})

    found = sent(answer)
    assert (found.failure, found.status, found.attempts) == ("refused", 503, 1)
    assert "full" in found.detail


def test_nobody_listening_is_a_failure():
    async def go() -> Outcome:
        async with aiohttp.ClientSession() as session:
            client = Client(session, "http://127.0.0.1:1", "chat", "generate", 5, 0)
            return await client.send(ARRIVAL, time.monotonic())

    assert asyncio.run(go()).failure == "no connection"


def test_prompts_have_their_length_and_share_no_beginning():
    found = [text for number in range(20) for text in texts(Arrival(number, 0, "only", 500, 0, inputs=3))]
    assert all(len(text) / 4 == pytest.approx(500, rel=0.05) for text in found)
    assert len({text[:8] for text in found}) == 60


def test_the_request_asks_for_exactly_its_tokens():
    asked = orjson.loads(body(ARRIVAL, "chat", "generate"))
    assert (asked["max_tokens"], asked["ignore_eos"], asked["stream"]) == (5, True, True)


POOLING = Arrival(number=3, at=0.0, phase="only", prompt_tokens=50, output_tokens=0, inputs=2)


def whole(answer: object, pause: float = 0.0) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(pause)
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    return handler


@pytest.mark.parametrize(("task", "results"), [("embed", "data"), ("rerank", "results")])
def test_an_answer_in_one_piece_is_timed_as_its_first_token(task: Task, results: str):
    found = sent(whole({results: [{}, {}]}, pause=0.05), task=task, arrival=POOLING)
    assert found.failure is None
    assert (found.tokens, found.inter_token) == (0, None)
    assert found.first_token is not None
    assert 0.05 <= found.first_token <= found.total


@pytest.mark.parametrize(
    ("answer", "failure"),
    [({"data": [{}]}, "incomplete"), ({"object": "list"}, "empty"), (["no object"], "empty")],
)
def test_an_answer_without_a_result_for_each_input_is_a_failure(answer: object, failure: str):
    assert sent(whole(answer), task="embed", arrival=POOLING).failure == failure


def test_the_request_brings_its_inputs():
    asked = orjson.loads(body(POOLING, "embedder", "embed"))
    assert asked == {"model": "embedder", "input": texts(POOLING), "encoding_format": "base64"}
    asked = orjson.loads(body(POOLING, "reranker", "rerank"))
    assert (asked["documents"], bool(asked["query"])) == (texts(POOLING), True)
