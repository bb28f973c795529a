"""Thoughts, words and calls of tools as they appear in answers: whole, and piece by piece.

Field names and orders are those of vLLM 0.32.0 (DeltaMessage, DeltaToolCall, ChatMessage).
"""

from __future__ import annotations

from typing import Any

from local.engine.generation import choice_text
from local.engine.parts import SILENT_TOKENS, Parts, ToolCall
from local.engine.request import Choice


def delta(choice: Choice, parts: Parts, start: int, end: int, keep_stop: bool) -> dict[str, Any]:
    """What tokens `start` up to `end` of a reply show; empty where they show nothing."""
    found: dict[str, Any] = {}
    first = max(start, parts.thoughts)
    if parts.call is None:
        content = choice_text(choice, first, end, keep_stop) if end > first else ""
        if content:
            found["content"] = content
    if parts.shown and start < parts.thoughts:
        thoughts = choice_text(choice, start, min(end, parts.thoughts), keep_stop)
        if thoughts:
            found["reasoning"] = thoughts
    if parts.call is not None and end > first:
        call = _call_delta(parts.call, first - parts.thoughts, end - parts.thoughts)
        if call is not None:
            found |= {"content": None, "tool_calls": [call]}
    return found


def _call_delta(call: ToolCall, start: int, end: int) -> dict[str, Any] | None:
    """The name comes once, with the call's id; then pieces of the arguments. None while nothing is shown."""
    arguments = _arguments(call, start, end)
    if start <= SILENT_TOKENS < end:
        function = {"name": call.name, "arguments": arguments} if arguments else {"name": call.name}
        return {"id": call.identity, "type": "function", "index": 0, "function": function}
    return {"index": 0, "function": {"arguments": arguments}} if arguments else None


def _arguments(call: ToolCall, start: int, end: int) -> str:
    offset = SILENT_TOKENS + 1
    return "".join(call.pieces[max(0, start - offset) : max(0, end - offset)])


def whole(choice: Choice, parts: Parts, keep_stop: bool) -> dict[str, Any]:
    """The fields of a whole message. A call that was cut off is none: the beginning of it is all there is to
    tell, as the model wrote it."""
    generated = choice.sequence.generated
    shown = delta(choice, parts, 0, generated, keep_stop)
    found: dict[str, Any] = {"content": shown.get("content"), "reasoning": shown.get("reasoning")}
    call = parts.call
    if call is None:
        return found
    arguments = _arguments(call, 0, generated - parts.thoughts)
    if len(arguments) < len(call.arguments) or generated <= parts.thoughts:
        written = f'<tool_call>\n{{"name": "{call.name}", "arguments": {arguments}'
        found["content"] = written if generated > parts.thoughts else None
    elif parts.parsed:
        function = {"name": call.name, "arguments": arguments}
        found["tool_calls"] = [{"id": call.identity, "type": "function", "function": function}]
        found["content"] = None if parts.automatic else ""
    return found


def streamed_reason(choice: Choice, parts: Parts) -> str:
    """`tool_calls` where a call that the request did not name has been made to its end."""
    called = parts.call is not None and not parts.named and choice.reason == "stop"
    return "tool_calls" if called else choice.reason


def whole_reason(choice: Choice, parts: Parts) -> str:
    """The same; an automatic call that was not told apart ends as words do."""
    return streamed_reason(choice, parts) if parts.parsed else choice.reason
