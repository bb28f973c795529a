"""Streams as engines and gateways send them: what they hold, and the ways in which it is put into lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DONE = "[DONE]"
ROLE: Mapping[str, object] = {"role": "assistant", "content": ""}
"""The first event of vLLM: no token."""


def chunk(delta: Mapping[str, object], ending: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": ending}
    return json.dumps({"object": "chat.completion.chunk", "choices": [choice]}, separators=(",", ":"))


def usage(tokens: int) -> str:
    return json.dumps({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": tokens}})


def tool_call(arguments: str) -> Mapping[str, object]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


@dataclass(frozen=True)
class Form:
    """How events become lines. keepalive: a comment before each event."""

    newline: str = "\n"
    space: str = " "
    keepalive: bool = False
    event_name: bool = False
    last_blank: bool = True

    def lines(self, events: Sequence[str]) -> bytes:
        text = ""
        for event in events:
            text += f": ping{self.newline}{self.newline}" if self.keepalive else ""
            text += f"event: message{self.newline}" if self.event_name else ""
            text += f"data:{self.space}{event}{self.newline}{self.newline}"
        return (text if self.last_blank else text.removesuffix(self.newline)).encode()


WRITTEN: Mapping[str, Mapping[str, object]] = {
    "text": {"content": "Hello"},
    "text with what looks like another field": {"content": '"content":"" : "usage":{'},
    "a thought as vLLM sends it": {"reasoning": "We must say"},
    "a thought as SGLang and DeepSeek send it": {"content": None, "reasoning_content": "We must say"},
    "both names at once": {"reasoning": "We", "reasoning_content": "We"},
    "a call of a tool": tool_call('{"city":'),
    "the beginning of a call": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather"}}]},
    "a function call of the older API": {"function_call": {"name": "weather", "arguments": ""}},
    "a refusal": {"refusal": "I cannot"},
}
"""Deltas with something that the model has written."""

EMPTY: Mapping[str, Mapping[str, object]] = {
    "only the role": ROLE,
    "only the role, without text": {"role": "assistant"},
    "null": {"role": "assistant", "content": None, "reasoning": None},
    "empty texts": {"content": "", "reasoning": "", "reasoning_content": ""},
    "no call": {"content": "", "tool_calls": []},
    "nothing": {},
}
"""Deltas without."""

ERRORS: Mapping[str, tuple[str, str]] = {
    "vLLM": (
        json.dumps({"error": {"message": "EngineCore died", "type": "InternalServerError", "code": 500}}),
        "EngineCore died (code 500)",
    ),
    "older vLLM": (
        json.dumps({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
        "too long (code 400)",
    ),
    "a text": (json.dumps({"error": "out of memory"}), "out of memory"),
    "without a message": (json.dumps({"error": {"type": "overloaded"}}), '{"type": "overloaded"}'),
    "several lines": (json.dumps({"error": {"message": "first\nsecond\r\n third"}}), "first second third"),
}
"""Events by which an engine reports an error after it has said 200, and what is repeated of each."""
