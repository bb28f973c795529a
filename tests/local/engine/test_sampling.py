"""Values of requests: what vLLM 0.32.0 refuses before the response begins, and what only when it is added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.local.engine.asking import with_server

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
HI = [{"role": "user", "content": "Hi"}]
VOCABULARY = 151_936
FUNCTION = {"type": "function", "function": {"name": "f"}}

REFUSED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "refused_by_vllm.json").read_text(encoding="utf-8")
)["refused"]


def refused(when: str) -> list[tuple[dict[str, Any], dict[str, object]]]:
    """Fields of a request, and the error they are answered with."""
    rows = [row for row in REFUSED if row["when"] == when]
    assert rows
    return [
        (
            row["fields"],
            {"message": row["message"], "type": "BadRequestError", "param": row["parameter"], "code": 400},
        )
        for row in rows
    ]


def test_values_out_of_range_are_refused_before_the_response():
    async def ask(client: httpx.AsyncClient) -> None:
        for fields, error in refused("before the response"):
            for stream in (False, True):
                for path, body in ((CHAT, {"messages": HI}), (TEXT, {"prompt": "x"})):
                    asked = {**body, "max_tokens": 2, "stream": stream, **fields}
                    answer = await client.post(path, json=asked)
                    found = (fields, answer.status_code, answer.json()["error"])
                    assert found == (fields, 400, error)

    with_server(ask)


def test_token_ids_outside_the_vocabulary_are_refused_when_the_request_is_added():
    async def ask(client: httpx.AsyncClient) -> None:
        for fields, error in refused("when it is added"):
            for path, body in ((CHAT, {"messages": HI}), (TEXT, {"prompt": "x"})):
                asked = {**body, "max_tokens": 2, **fields}
                answer = await client.post(path, json=asked)
                assert (answer.status_code, answer.json()["error"]) == (400, error)
                stream = await client.post(path, json={**asked, "stream": True})
                assert stream.status_code == 200
                first, last = [line for line in stream.text.splitlines() if line]
                assert orjson.loads(first.removeprefix("data: ")) == {"error": error}
                assert last == "data: [DONE]"

    with_server(ask)


@pytest.mark.parametrize("part", ["a", 5, None, {"foo": 1}, {"type": 5}, {"type": "foo"}, {"type": "text"}])
def test_a_list_of_anything_but_parts_is_refused(part: object):
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post(CHAT, json={"messages": [{"role": "user", "content": [part]}]})
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "BadRequestError"
        assert answer.json()["error"]["param"] is None

    with_server(ask)


def test_without_a_new_message_the_reply_belongs_to_the_last():
    async def ask(client: httpx.AsyncClient) -> None:
        asked = {"messages": HI, "add_generation_prompt": False, "max_tokens": 2}
        whole = (await client.post(CHAT, json=asked)).json()
        assert whole["choices"][0]["message"]["role"] == "user"
        assert '"role":"user"' in (await client.post(CHAT, json={**asked, "stream": True})).text

    with_server(ask)


def test_what_only_conversations_have():
    async def ask(client: httpx.AsyncClient) -> None:
        for fields, error in refused("chat, before the response"):
            for stream in (False, True):
                answer = await client.post(CHAT, json={"messages": HI, "stream": stream, **fields})
                found = (fields, answer.status_code, answer.json()["error"])
                assert found == (fields, 400, error)

    with_server(ask)


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 2, "n": 2},
        {"presence_penalty": 2, "frequency_penalty": -2},
        {"repetition_penalty": 0.1},
        {"min_p": 1, "top_p": 1, "top_k": -1},
        {"stop": ["a", "b", "c", "d"]},
        {"max_tokens": 2048},
        {"stop_token_ids": [0, VOCABULARY - 1], "logit_bias": {"7": 200}},
        {"cache_salt": "a" * 128},
        {"stream_options": {}, "stream": True},
        {"truncate_prompt_tokens": 1},
        {"n": None, "foo": 1, "user": None, "model": ""},
    ],
)
def test_what_is_within_range_is_answered(fields: dict[str, object]):
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post(CHAT, json={"messages": HI, "max_tokens": 2, **fields})
        assert answer.status_code == 200, answer.text

    with_server(ask)


@pytest.mark.parametrize(
    ("options", "events"),
    [
        (None, 0),
        ({}, 0),
        ({"include_usage": False}, 0),
        ({"continuous_usage_stats": True}, 0),
        ({"include_usage": True}, 1),
    ],
)
def test_usage_is_sent_only_to_those_who_ask_for_it(options: dict[str, bool] | None, events: int):
    async def ask(client: httpx.AsyncClient) -> None:
        for path, body in ((CHAT, {"messages": HI}), (TEXT, {"prompt": "x"})):
            asked = {**body, "max_tokens": 2, "stream": True, "stream_options": options}
            text = (await client.post(path, json=asked)).text
            assert text.count('"usage"') == events

    with_server(ask)


def test_an_echo_brings_the_tokens_of_the_prompt_in_its_first_event():
    async def ask(client: httpx.AsyncClient) -> None:
        body = {"prompt": ["abcdef", "abcd"], "max_tokens": 3, "echo": True, "stream": True}
        text = (await client.post(TEXT, json=body)).text
        events = [orjson.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        choices = [event["choices"][0] for event in events]
        ids = [[each["prompt_token_ids"] for each in choices if each["index"] == index] for index in (0, 1)]
        for found, prompt in zip(ids, body["prompt"], strict=True):
            whole = await client.post("/tokenize", json={"prompt": prompt})
            assert found == [whole.json()["tokens"], *[None] * (len(found) - 1)]

    with_server(ask)


def test_a_model_is_looked_up_before_anything_else_of_the_values():
    async def ask(client: httpx.AsyncClient) -> None:
        for path, body in (
            (CHAT, {"messages": [], "n": 0, "tools": [FUNCTION]}),
            (TEXT, {"prompt": "x", "max_tokens": -1}),
            ("/tokenize", {"prompt": "x"}),
            ("/tokenize", {"messages": []}),
            ("/detokenize", {"tokens": [1]}),
        ):
            answer = await client.post(path, json={**body, "model": "nope"})
            assert answer.status_code == 404
            assert answer.json()["error"] == {
                "message": "The model `nope` does not exist. Valid aliases: chat.",
                "type": "NotFoundError",
                "param": "model",
                "code": 404,
            }

    with_server(ask)


def test_texts_of_tokens_are_sent_to_those_who_ask_for_them():
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/tokenize", json={"prompt": "abcdef", "return_token_strs": True})
        assert answer.json()["token_strs"] == ["abcd", "ef"]
        assert (await client.post("/tokenize", json={"prompt": "abcdef"})).json()["token_strs"] is None

    with_server(ask)
