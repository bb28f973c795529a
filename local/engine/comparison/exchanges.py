"""Requests sent to both servers, and the shape of the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from local.engine.comparison.servers import SERVED_NAME, RunningServer
from local.engine.comparison.tiny_model import CONTEXT

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
HI = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]
PICTURE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}]
TOO_LONG = [7] * 3000
"""More tokens than the context has."""


@dataclass(frozen=True)
class Exchange:
    name: str
    path: str
    body: object = None
    method: str = "POST"


def _chat(**fields: object) -> dict[str, object]:
    return {"model": SERVED_NAME, "messages": HI, "max_tokens": 2, "ignore_eos": True, **fields}


def _text(**fields: object) -> dict[str, object]:
    return {"model": SERVED_NAME, "prompt": "Hello", "max_tokens": 2, "ignore_eos": True, **fields}


USAGE = {"include_usage": True}
EXCHANGES = (
    Exchange("models", "/v1/models", method="GET"),
    Exchange("version", "/version", method="GET"),
    Exchange("load", "/load", method="GET"),
    Exchange("health", "/health", method="GET"),
    Exchange("ping", "/ping", method="GET"),
    Exchange("unknown path", "/nope", method="GET"),
    Exchange("wrong method", CHAT, method="GET"),
    Exchange("completion", TEXT, _text()),
    Exchange("completion of two prompts, two choices, echo", TEXT, _text(prompt=["a", "b"], n=2, echo=True)),
    Exchange("completion of token ids", TEXT, _text(prompt=[1, 2, 3])),
    Exchange("completion with echo alone", TEXT, _text(echo=True, max_tokens=0)),
    Exchange("completion streamed", TEXT, _text(stream=True)),
    Exchange("completion streamed with usage", TEXT, _text(stream=True, stream_options=USAGE)),
    Exchange(
        "completion streamed with usage in each event",
        TEXT,
        _text(stream=True, stream_options={**USAGE, "continuous_usage_stats": True}),
    ),
    Exchange("chat", CHAT, _chat()),
    Exchange("chat without a model", CHAT, {"messages": HI, "max_tokens": 1}),
    Exchange("chat with an unknown field", CHAT, _chat(foo=1)),
    Exchange("chat of two choices streamed", CHAT, _chat(stream=True, n=2)),
    Exchange("chat streamed with usage", CHAT, _chat(stream=True, stream_options=USAGE)),
    Exchange("chat with max_completion_tokens", CHAT, _chat(max_tokens=None, max_completion_tokens=3)),
    Exchange("unknown model", CHAT, _chat(model="nope")),
    Exchange("max_tokens over the context", CHAT, _chat(max_tokens=5000)),
    Exchange("max_tokens zero", CHAT, _chat(max_tokens=0)),
    Exchange("n zero", CHAT, _chat(n=0)),
    Exchange("temperature negative", CHAT, _chat(temperature=-1)),
    Exchange("temperature too high", CHAT, _chat(temperature=3)),
    Exchange("top_p too high", CHAT, _chat(top_p=2)),
    Exchange("min_tokens over max_tokens", CHAT, _chat(min_tokens=5)),
    Exchange("stream options without a stream", CHAT, _chat(stream_options=USAGE)),
    Exchange("messages of the wrong type", CHAT, _chat(messages="x")),
    Exchange("no messages", CHAT, _chat(messages=[])),
    Exchange("messages missing", CHAT, {"model": SERVED_NAME}),
    Exchange("not an object", CHAT, []),
    Exchange("not JSON", CHAT, "{bad json"),
    Exchange("a picture", CHAT, _chat(messages=[{"role": "user", "content": PICTURE}])),
    Exchange("tools without a parser", CHAT, _chat(tools=TOOLS, tool_choice="auto")),
    Exchange("stop empty", CHAT, _chat(stop=[""])),
    Exchange("log probabilities", CHAT, _chat(logprobs=True)),
    Exchange("prompt missing", TEXT, {"model": SERVED_NAME}),
    Exchange("prompt empty", TEXT, _text(prompt="")),
    Exchange("no prompts", TEXT, _text(prompt=[])),
    Exchange("suffix", TEXT, _text(suffix="b")),
    Exchange("prompt as long as the context", TEXT, _text(prompt=[7] * CONTEXT)),
    Exchange("prompt over the context", TEXT, _text(prompt=TOO_LONG)),
    Exchange("token id outside the vocabulary", TEXT, _text(prompt=[1, 2**31])),
    Exchange("tokenize a prompt", "/tokenize", {"model": SERVED_NAME, "prompt": "abc"}),
    Exchange("tokenize a chat", "/tokenize", {"model": SERVED_NAME, "messages": HI}),
    Exchange("detokenize", "/detokenize", {"model": SERVED_NAME, "tokens": [10, 11]}),
)


@dataclass(frozen=True)
class Shape:
    """status and content type; body: keys with the types of their values, or the exact words of an error."""

    status: int
    content_type: str
    body: str


def send(exchange: Exchange, server: RunningServer, client: httpx.Client) -> Shape:
    """Sends one request and describes the answer. Raises httpx.TransportError if there is none."""
    content = exchange.body if isinstance(exchange.body, str) else json.dumps(exchange.body)
    response = client.request(
        exchange.method,
        server.url + exchange.path,
        content=None if exchange.method == "GET" else content,
        headers={"content-type": "application/json"},
    )
    content_type = response.headers.get("content-type", "")
    return Shape(response.status_code, content_type, _body(response, content_type))


def _body(response: httpx.Response, content_type: str) -> str:
    if content_type.startswith("text/event-stream"):
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
        shapes = [line if line == "[DONE]" else _described(json.loads(line)) for line in lines]
        return "\n".join(dict.fromkeys(shapes))  # each kind of event once: their number is a matter of timing
    if not response.content:
        return ""
    document = response.json()
    if response.is_error:
        return re.sub(r"\d+", "#", json.dumps(document))  # the two count tokens differently
    return _described(document)


def _described(value: Any) -> str:
    """Structure of a JSON document: keys in order, types instead of values, finish reasons as they are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_field(key, each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(dict.fromkeys(_described(each) for each in value)) + "]"
    if value is None:
        return "null"
    return {bool: "bool", int: "number", float: "number", str: "text"}[type(value)]


def _field(key: str, value: Any) -> str:
    return repr(value) if key in ("finish_reason", "object", "role", "owned_by") else _described(value)


def differences(real: Mapping[str, Shape], emulated: Mapping[str, Shape]) -> dict[str, str]:
    """What differs, by a name that a known difference can refer to."""
    found = {}
    for name, expected in real.items():
        got = emulated[name]
        for aspect in ("status", "content_type", "body"):
            one, other = getattr(expected, aspect), getattr(got, aspect)
            if one != other:
                found[f"answer to {name}: {aspect}"] = f"real vLLM {one!r}, emulator {other!r}"
    return found
