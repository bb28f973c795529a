"""What a server's parsers make of a conversation: whether it may call tools, what its reply is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.engine.answers import new_identity
from local.engine.chat import ChatRequest, NamedTool, Tool
from local.engine.errors import bad_request
from local.engine.messages import Message
from local.engine.parsers import Parsers
from local.engine.parts import Parts, ToolCall, arguments_for
from local.engine.reply import drawn_length, mix

EFFORT = {"minimal": 0.25, "low": 0.5, "medium": 1.0, "high": 2.0, "xhigh": 3.0, "max": 4.0}
"""Length of thoughts by `reasoning_effort`, in those of no effort given. The factors are ours: what a model
makes of an effort depends on the model."""


def check_tool_choice(asked: ChatRequest, parsers: Parsers) -> None:
    """Raises ApiError on tools that a server without a parser for them would have to call."""
    choice = asked.tool_use
    if parsers.harmony and asked.reasoning_effort == "none":
        message = "Harmony does not support reasoning_effort='none' (parameter=reasoning_effort)"
        raise bad_request(message, "reasoning_effort")
    if parsers.calls or choice is None or choice == "none":
        return
    if choice == "auto":
        raise bad_request(
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        )
    described = f'function "{choice.function.name}"' if isinstance(choice, NamedTool) else f'"{choice}"'
    raise bad_request(f"tool_choice={described} requires --tool-call-parser to be set")


def template_keywords(asked: ChatRequest, parsers: Parsers) -> Mapping[str, Any]:
    """For the chat template: the server's, then the request's, which win. An effort turns thinking on or off
    unless the request itself says otherwise (vLLM 0.32.0, ChatCompletionRequest.build_chat_params)."""
    own = asked.chat_template_kwargs or {}
    keywords = {**(parsers.defaults or {}), **own}
    if asked.reasoning_effort is not None and "enable_thinking" not in own:
        keywords["enable_thinking"] = asked.reasoning_effort != "none"
    return keywords


def parts_of(asked: ChatRequest, parsers: Parsers, key: int) -> Parts | None:
    """What the reply of this key is made of; None if it is words alone."""
    tool = called_tool(asked, parsers)
    thinks = parsers.thinks(template_keywords(asked, parsers))
    if tool is None and not thinks:
        return None
    call = None
    if tool is not None:
        arguments = arguments_for(tool.function.parameters)
        call = ToolCall(f"chatcmpl-tool-{new_identity()}", tool.function.name, arguments)
    return Parts(
        thoughts=thought_tokens(asked, key) if thinks else 0,
        shown=asked.include_reasoning,
        call=call,
        named=isinstance(asked.tool_choice, NamedTool),
        automatic=asked.tool_use == "auto",
        parsed=parsers.tool is not None or asked.tool_use != "auto",
    )


def thought_tokens(asked: ChatRequest, key: int) -> int:
    effort = asked.reasoning_effort
    factor = EFFORT["medium"] if effort is None or effort == "none" else EFFORT[effort]
    drawn = max(1, round(drawn_length(mix(key)) * factor))
    budget = asked.thinking_token_budget
    return drawn if budget is None else min(drawn, budget)


def called_tool(asked: ChatRequest, parsers: Parsers) -> Tool | None:
    """The named one, else the first. With `auto` a model may choose: here it calls, unless the conversation
    ends with what a tool has answered."""
    choice = asked.tool_use
    if not parsers.calls or not asked.tools or choice is None or choice == "none":
        return None
    if isinstance(choice, NamedTool):
        return next(tool for tool in asked.tools if tool.function.name == choice.function.name)
    last = asked.messages[-1]
    if choice == "auto" and not isinstance(last, Message) and last["role"] == "tool":
        return None
    return asked.tools[0]
