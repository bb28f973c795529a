"""Tools and thoughts: asked of an engine without parsers, and of one that has both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from local.engine.comparison.asked.bodies import CHAT, USAGE, chat
from local.engine.comparison.exchanges import Exchange
from local.engine.comparison.tiny_model import ADDED_IDS

ONE_ARGUMENT = {
    "type": "object",
    "properties": {"a": {"type": "string", "enum": ["a word of several tokens, so that it comes in pieces"]}},
    "required": ["a"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": ONE_ARGUMENT}}
OTHER = {"type": "function", "function": {"name": "g"}}
CHOICE = {"type": "function", "function": {"name": "f"}}

TOOLS = (
    Exchange("tools", CHAT, chat(tools=[TOOL])),
    Exchange("tools without parameters", CHAT, chat(tools=[OTHER])),
    Exchange("tools streamed", CHAT, chat(tools=[TOOL], stream=True)),
    Exchange("tools with choice auto", CHAT, chat(tools=[TOOL], tool_choice="auto")),
    Exchange("tools with choice null", CHAT, chat(tools=[TOOL], tool_choice=None)),
    Exchange("tools with choice none", CHAT, chat(tools=[TOOL], tool_choice="none")),
    Exchange("tools with choice none streamed", CHAT, chat(tools=[TOOL], tool_choice="none", stream=True)),
    Exchange("tools with an unknown choice", CHAT, chat(tools=[TOOL], tool_choice="maybe")),
    Exchange("tools with a choice of the wrong type", CHAT, chat(tools=[TOOL], tool_choice=5)),
    Exchange("a tool that is not offered", CHAT, chat(tools=[OTHER], tool_choice=CHOICE)),
    Exchange("a choice without a function", CHAT, chat(tools=[TOOL], tool_choice={"type": "function"})),
    Exchange(
        "a choice without a name", CHAT, chat(tools=[TOOL], tool_choice={"type": "function", "function": {}})
    ),
    Exchange("no tools", CHAT, chat(tools=[])),
    Exchange("tools null", CHAT, chat(tools=None)),
    Exchange("tools null with choice auto", CHAT, chat(tools=None, tool_choice="auto")),
    Exchange("choice auto without tools", CHAT, chat(tool_choice="auto")),
    Exchange("choice none without tools", CHAT, chat(tool_choice="none")),
    Exchange("choice null without tools", CHAT, chat(tool_choice=None)),
    Exchange("choice required without tools", CHAT, chat(tool_choice="required")),
    Exchange("a chosen tool without tools", CHAT, chat(tool_choice=CHOICE)),
    Exchange("tools of the wrong type", CHAT, chat(tools="f")),
    Exchange("a tool of the wrong type", CHAT, chat(tools=["f"])),
    Exchange("a tool without a function", CHAT, chat(tools=[{"type": "function"}])),
    Exchange("a tool without a name", CHAT, chat(tools=[{"type": "function", "function": {}}])),
    Exchange("a tool of another type", CHAT, chat(tools=[{"type": "retrieval"}])),
    Exchange("tools without a type", CHAT, chat(tools=[{"function": {"name": "f"}}])),
    Exchange("tools with a response format", CHAT, chat(tools=[TOOL], response_format={"type": "text"})),
)

WITH_THOUGHTS = {"enable_thinking": True}
WITHOUT_THOUGHTS = {"enable_thinking": False}


def _calls(**fields: object) -> dict[str, object]:
    """The tiny model is random: the grammar of the tools' parameters makes it write a call."""
    return chat(
        tools=[TOOL],
        chat_template_kwargs=WITHOUT_THOUGHTS,
        max_tokens=400,
        ignore_eos=False,
        **fields,
    )


CALLS = (
    Exchange("a tool required", CHAT, _calls(tool_choice="required")),
    Exchange("a tool required streamed", CHAT, _calls(tool_choice="required", stream=True)),
    Exchange(
        "a tool required streamed with usage",
        CHAT,
        _calls(tool_choice="required", stream=True, stream_options=USAGE),
    ),
    Exchange("a chosen tool", CHAT, _calls(tool_choice=CHOICE)),
    Exchange("a chosen tool streamed", CHAT, _calls(tool_choice=CHOICE, stream=True)),
)

THOUGHTS = (
    Exchange("thoughts", CHAT, chat()),
    Exchange("thoughts streamed", CHAT, chat(stream=True)),
    Exchange("thoughts streamed with usage", CHAT, chat(stream=True, stream_options=USAGE)),
    Exchange("thoughts left out", CHAT, chat(include_reasoning=False)),
    Exchange("thoughts left out streamed", CHAT, chat(include_reasoning=False, stream=True)),
    Exchange("thoughts turned off", CHAT, chat(chat_template_kwargs=WITHOUT_THOUGHTS)),
    Exchange(
        "thoughts turned off streamed",
        CHAT,
        chat(chat_template_kwargs=WITHOUT_THOUGHTS, stream=True),
    ),
    Exchange("thoughts by effort", CHAT, chat(reasoning_effort="low")),
    Exchange("thoughts by no effort", CHAT, chat(reasoning_effort="none")),
    Exchange("thoughts of two choices", CHAT, chat(n=2)),
    Exchange(
        "thoughts and an answer",
        CHAT,
        chat(max_tokens=60, thinking_token_budget=10, chat_template_kwargs=WITH_THOUGHTS),
    ),
    Exchange(
        "thoughts and an answer streamed",
        CHAT,
        chat(max_tokens=60, thinking_token_budget=10, chat_template_kwargs=WITH_THOUGHTS, stream=True),
    ),
    Exchange("thoughts and tools streamed", CHAT, chat(tools=[TOOL], stream=True)),
)


def unmarked(exchanges: Sequence[Exchange]) -> tuple[Exchange, ...]:
    """The same requests, with replies that do not by chance contain the marks of a thought or of a call."""
    never = {str(token): -100 for token in ADDED_IDS}
    return tuple(
        replace(exchange, body={**exchange.body, "logit_bias": never})
        if isinstance(exchange.body, dict)
        else exchange
        for exchange in exchanges
    )
