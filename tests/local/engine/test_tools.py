"""Thoughts and calls of tools, in the shapes of vLLM 0.32.0 (entrypoints/openai/chat_completion/serving.py,
tool_parsers/streaming.py, tool_parsers/hermes_tool_parser.py)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import orjson
import pytest

from local.engine.flags import parse
from local.engine.parsers import parser_names, parsers
from local.engine.parts import arguments_for
from local.engine.refusal import Refused
from sizing.models.models import model
from tests.local.engine.asking import with_server

CHAT = "/v1/chat/completions"
HI: list[dict[str, Any]] = [{"role": "user", "content": "What is the weather in Bern?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 2},
                "unit": {"enum": ["C", "F"]},
            },
            "required": ["city", "days", "unit"],
        },
    },
}
OTHER = {"type": "function", "function": {"name": "other"}}
NAMED = {"type": "function", "function": {"name": "weather"}}
TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
THOUGHTS = ("--reasoning-parser", "qwen3")
QUIET = ("--default-chat-template-kwargs", '{"enable_thinking": false}')
GPT_OSS = "openai/gpt-oss-20b"


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [orjson.loads(line) for line in lines[:-1]]


def joined(events: list[dict[str, Any]], field: str) -> str:
    return "".join(event["choices"][0]["delta"].get(field) or "" for event in events if event["choices"])


def call_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The call that the events of a stream add up to; their shapes are vLLM's."""
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    first, *rest = calls
    assert {"id", "type", "index", "function"} == set(first)
    assert first["id"].startswith("chatcmpl-tool-")
    assert (first["type"], first["index"]) == ("function", 0)
    for call in rest:
        assert set(call) == {"index", "function"}
        assert set(call["function"]) == {"arguments"}
    pieces = [call["function"].get("arguments", "") for call in calls]
    return {"name": first["function"]["name"], "arguments": json.loads("".join(pieces))}


EXPECTED = {"name": "weather", "arguments": {"city": "emulated", "days": 2, "unit": "C"}}


@pytest.mark.parametrize("thinking", [(), THOUGHTS])
@pytest.mark.parametrize(
    ("choice", "reason"),
    [("auto", "tool_calls"), ("required", "tool_calls"), (NAMED, "stop"), (None, "tool_calls")],
)
def test_tools_are_called(choice: object, reason: str, thinking: tuple[str, ...]):
    asked = {"messages": HI, "tools": [WEATHER, OTHER]}
    if choice is not None:
        asked["tool_choice"] = choice

    async def ask(client: httpx.AsyncClient) -> None:
        usage = {"include_usage": True}
        events = events_of(await client.post(CHAT, json={**asked, "stream": True, "stream_options": usage}))
        assert call_of(events) == EXPECTED
        assert joined(events, "content") == ""
        assert bool(joined(events, "reasoning")) is bool(thinking)
        ends = [event["choices"][0]["finish_reason"] for event in events if event["choices"]]
        assert [end for end in ends if end is not None] == [reason]
        whole = (await client.post(CHAT, json=asked)).json()
        (made,) = whole["choices"]
        message = made["message"]
        (call,) = message["tool_calls"]
        assert {"id", "type", "function"} == set(call)
        assert call["function"]["name"] == "weather"
        assert json.loads(call["function"]["arguments"]) == EXPECTED["arguments"]
        assert message["content"] == (None if choice in ("auto", None) else "")
        assert bool(message["reasoning"]) is bool(thinking)
        assert made["finish_reason"] == (reason)
        counted = events[-1]["usage"]["completion_tokens"]
        assert counted == whole["usage"]["completion_tokens"] > len(events) - 3

    with_server(ask, *TOOLS, *thinking, step_ms=0.01)


def test_a_conversation_that_ends_with_what_a_tool_said_gets_words():
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", **NAMED}]}
    said = {"role": "tool", "tool_call_id": "1", "content": "rain"}

    async def ask(client: httpx.AsyncClient) -> None:
        asked = {"messages": [*HI, called, said], "tools": [WEATHER], "max_tokens": 9}
        (choice,) = (await client.post(CHAT, json=asked)).json()["choices"]
        assert choice["message"]["content"].startswith("This reply is emulated:")
        assert "tool_calls" not in choice["message"]
        again = {**asked, "tool_choice": "required", "max_tokens": 99}
        assert "tool_calls" in (await client.post(CHAT, json=again)).json()["choices"][0]["message"]

    with_server(ask, *TOOLS)


def test_a_call_that_is_cut_off_ends_with_length():
    async def ask(client: httpx.AsyncClient) -> None:
        for choice in ("auto", "required", NAMED):
            asked = {"messages": HI, "tools": [WEATHER], "tool_choice": choice, "max_tokens": 6}
            (made,) = (await client.post(CHAT, json=asked)).json()["choices"]
            assert made["finish_reason"] == "length"
            assert "tool_calls" not in made["message"]
            assert made["message"]["content"].startswith("<tool_call>")
            events = events_of(await client.post(CHAT, json={**asked, "stream": True}))
            assert events[-1]["choices"][0]["finish_reason"] == "length"

    with_server(ask, *TOOLS)


def test_thoughts_come_before_words_and_are_counted():
    async def ask(client: httpx.AsyncClient) -> None:
        asked = {"messages": HI, "stream": True, "stream_options": {"include_usage": True}}
        events = events_of(await client.post(CHAT, json=asked))
        deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
        assert deltas[0] == {"role": "assistant", "content": ""}
        shown = ["".join(sorted(delta)) for delta in deltas[1:] if delta]
        assert shown == sorted(shown, reverse=True)  # reasoning, perhaps both in one event, then content
        assert "reasoning_content" not in str(deltas)
        usage = events[-1]["usage"]
        thoughts = usage["completion_tokens_details"]["reasoning_tokens"]
        assert 0 < thoughts < usage["completion_tokens"]
        whole = (await client.post(CHAT, json={"messages": HI})).json()
        message = whole["choices"][0]["message"]
        assert (message["reasoning"], message["content"]) == (
            joined(events, "reasoning"),
            joined(events, "content"),
        )
        assert whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": thoughts}
        assert whole["usage"]["completion_tokens"] == usage["completion_tokens"]

    with_server(ask, *THOUGHTS, step_ms=0.01)


def test_a_short_reply_is_all_thought():
    async def ask(client: httpx.AsyncClient) -> None:
        whole = (await client.post(CHAT, json={"messages": HI, "max_tokens": 3})).json()
        message = whole["choices"][0]["message"]
        assert (message["content"], message["reasoning"]) == (None, "This reply is")
        assert whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}
        asked = {"messages": HI, "max_tokens": 3, "stream": True}
        events = events_of(await client.post(CHAT, json=asked))
        assert joined(events, "content") == ""
        assert joined(events, "reasoning") == "This reply is"

    with_server(ask, *THOUGHTS, step_ms=0.01)


OFF = {"chat_template_kwargs": {"enable_thinking": False}}
ON = {"chat_template_kwargs": {"enable_thinking": True}}


@pytest.mark.parametrize(
    ("flags", "fields", "thinks"),
    [
        ((), {}, False),
        ((), ON, False),
        (THOUGHTS, {}, True),
        (THOUGHTS, OFF, False),
        (THOUGHTS, {"reasoning_effort": "none"}, False),
        (THOUGHTS, {"reasoning_effort": "low"}, True),
        (THOUGHTS, {"reasoning_effort": "none", **ON}, True),
        ((*THOUGHTS, *QUIET), {}, False),
        ((*THOUGHTS, *QUIET), ON, True),
        ((*THOUGHTS, *QUIET), {"reasoning_effort": "low"}, True),
        (("--reasoning-parser", "deepseek_v3"), {}, False),
        (("--reasoning-parser", "deepseek_v3"), {"chat_template_kwargs": {"thinking": True}}, True),
        (THOUGHTS, {"thinking_token_budget": 0}, False),
    ],
)
def test_who_thinks(flags: tuple[str, ...], fields: dict[str, Any], thinks: bool):
    async def ask(client: httpx.AsyncClient) -> None:
        whole = (await client.post(CHAT, json={"messages": HI, "max_tokens": 4, **fields})).json()
        message = whole["choices"][0]["message"]
        assert (message["reasoning"], message["content"]) == (
            ("This reply is emulated", None) if thinks else (None, "This reply is emulated")
        )
        details = {"reasoning_tokens": 4 if thinks else 0} if flags else None
        assert whole["usage"]["completion_tokens_details"] == details

    with_server(ask, *flags, step_ms=0.01)


def test_thoughts_can_be_hidden_and_are_counted_all_the_same():
    async def ask(client: httpx.AsyncClient) -> None:
        asked = {"messages": HI, "include_reasoning": False}
        whole = (await client.post(CHAT, json=asked)).json()
        assert whole["choices"][0]["message"]["reasoning"] is None
        assert whole["choices"][0]["message"]["content"]
        assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
        assert joined(events_of(await client.post(CHAT, json={**asked, "stream": True})), "reasoning") == ""

    with_server(ask, *THOUGHTS, step_ms=0.01)


def test_more_effort_is_a_longer_thought():
    async def ask(client: httpx.AsyncClient) -> None:
        lengths = []
        for effort in ("minimal", "low", "medium", "high"):
            asked = {"messages": HI, "reasoning_effort": effort}
            usage = (await client.post(CHAT, json=asked)).json()["usage"]
            lengths.append(usage["completion_tokens_details"]["reasoning_tokens"])
        assert lengths == sorted(set(lengths))

    with_server(ask, *THOUGHTS, step_ms=0.01)


def test_gpt_oss_thinks_and_calls_without_a_flag():
    async def ask(client: httpx.AsyncClient) -> None:
        whole = (await client.post(CHAT, json={"messages": HI, "max_tokens": 3, **OFF})).json()
        assert whole["choices"][0]["message"]["reasoning"] == "This reply is"
        refused = await client.post(CHAT, json={"messages": HI, "reasoning_effort": "none"})
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "reasoning_effort"
        asked = {"messages": HI, "tools": [WEATHER], "stream": True}
        assert call_of(events_of(await client.post(CHAT, json=asked))) == EXPECTED

    with_server(ask, model=GPT_OSS, step_ms=0.01)


def test_a_stream_tells_its_usage_in_every_event_to_those_who_ask():
    async def ask(client: httpx.AsyncClient) -> None:
        options = {"include_usage": True, "continuous_usage_stats": True}
        asked = {"messages": HI, "max_tokens": 3, "n": 2, "stream": True, "stream_options": options}
        *events, last = events_of(await client.post(CHAT, json=asked))
        for event in events:
            assert event["usage"]["completion_tokens"] <= 3  # of its own choice
            assert event["usage"]["completion_tokens_details"] is None
        assert events[0]["usage"]["completion_tokens"] == 0
        assert last["usage"]["completion_tokens"] == 6
        assert "completion_tokens_details" not in last["usage"]

    with_server(ask)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--enable-auto-tool-choice",), "--enable-auto-tool-choice requires --tool-call-parser"),
        (("--enable-auto-tool-choice", "--tool-call-parser", "nope"), "invalid tool call parser: nope "),
        (("--reasoning-parser", "nope"), "invalid reasoning parser: nope "),
        ((*TOOLS, "--reasoning-parser", "hf"), "cannot be combined"),
        (("--default-chat-template-kwargs", "[]"), "takes a JSON object"),
    ],
)
def test_unknown_parsers_are_refused_at_start(flags: tuple[str, ...], message: str):
    with pytest.raises(Refused, match=message):
        parsers(parse(["Qwen/Qwen3-8B", *flags]), model("Qwen/Qwen3-8B"))


def test_every_parser_of_vllm_is_known_and_one_without_automatic_calls_has_no_effect():
    served = model("Qwen/Qwen3-8B")
    for name in parser_names()["tool"]:
        flags = parse(["m", "--enable-auto-tool-choice", "--tool-call-parser", name])
        assert parsers(flags, served).calls
    for name in parser_names()["reasoning"]:
        assert parsers(parse(["m", "--reasoning-parser", name]), served).reasoning == name
    assert not parsers(parse(["m", "--tool-call-parser", "nope"]), served).calls


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (None, {}),
        ({}, {}),
        ({"type": "object"}, {}),
        ({"type": "array"}, {}),
        ({"properties": {"a": {"type": "boolean"}}}, {"a": True}),
        ({"type": "object", "required": ["b"], "properties": {"a": {}}}, {"b": "emulated"}),
        ({"properties": {"a": {"type": "array", "items": {"type": "number"}, "minItems": 2}}}, {"a": [1, 1]}),
        ({"properties": {"a": {"type": ["null", "string"]}, "b": {"const": 5}}}, {"a": None, "b": 5}),
        ({"properties": {"a": {"anyOf": [{"type": "integer"}, {}]}}}, {"a": 1}),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"enum": ["é"]}}}, {"a": "é"}),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, {"a": None}),
        ({"properties": "x", "required": "y"}, {}),
    ],
)
def test_arguments_fit_the_schema(schema: dict[str, Any] | None, arguments: dict[str, Any]):
    assert json.loads(arguments_for(schema)) == arguments


def test_a_schema_that_refers_to_itself_ends():
    tree = {"properties": {"child": {"$ref": "#"}}, "required": ["child"], "type": "object"}
    loop = {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert json.loads(arguments_for(tree))["child"]
    assert json.loads(arguments_for(loop)) == {"a": None}
