"""Requests sent to both servers, and the shape of the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import httpx

from local.engine.comparison.servers import RunningServer

JSON_TYPE = {"content-type": "application/json"}

COMPARED_HEADERS = ("allow", "vary", "location", "retry-after", "www-authenticate", "x-request-id")
"""Headers that a client or a proxy acts on; those of cross-origin requests are compared, too."""


class Compared(Enum):
    """How much of an answer is compared.

    KIND: an error without its message, where pydantic lists each alternative of a union that the value could
    have been, by the names of vLLM's classes. HEAD: everything but the body.
    """

    WHOLE = "whole"
    KIND = "kind"
    HEAD = "head"


@dataclass(frozen=True)
class Exchange:
    """One request. body: text and bytes are sent as they are, anything else as JSON; None sends none."""

    name: str
    path: str
    body: object = None
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_TYPE)
    compared: Compared = Compared.WHOLE


@dataclass(frozen=True)
class Shape:
    """What an answer looks like.

    content_type: with its parameters. headers: those of COMPARED_HEADERS that it has, one a line.
    body: keys with the types of their values, or the exact words of an error with "#" for numbers.
    """

    status: int
    content_type: str
    headers: str
    body: str


def send(exchange: Exchange, server: RunningServer, client: httpx.Client) -> Shape:
    """Sends one request and describes the answer. Raises httpx.TransportError if there is none."""
    response = client.request(
        exchange.method, server.url + exchange.path, content=_content(exchange.body), headers=exchange.headers
    )
    return described(response, exchange.compared)


def _content(body: object) -> str | bytes | None:
    return body if body is None or isinstance(body, str | bytes) else json.dumps(body)


def described(response: httpx.Response, compared: Compared = Compared.WHOLE) -> Shape:
    """The shape of an answer that was read."""
    content_type = response.headers.get("content-type", "")
    return Shape(
        status=response.status_code,
        content_type=content_type,
        headers="\n".join(_compared_headers(response.headers)),
        body="" if compared is Compared.HEAD else _body(response, content_type, compared),
    )


def _compared_headers(headers: httpx.Headers) -> Iterable[str]:
    for name, value in sorted(headers.items()):
        if name in COMPARED_HEADERS or name.startswith("access-control-"):
            # The port of the server is in addresses of other pages.
            yield f"{name}: {re.sub(r'127.0.0.1:[0-9]+', 'HOST', value)}"


def _body(response: httpx.Response, content_type: str, compared: Compared) -> str:
    if content_type.startswith("text/event-stream"):
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
        return "\n".join(dict.fromkeys(part for line in lines for part in described_event(line).split("\n")))
    if not response.content:
        return ""
    if not content_type.startswith("application/json"):
        return response.text
    document = response.json()
    if not response.is_error:
        return structure(document)
    if compared is Compared.KIND:
        document["error"]["message"] = "(not compared)"
    return words(json.dumps(document))


def described_event(line: str) -> str:
    """An event's data. An error stays as it was sent, spaces included: proxies look for its first bytes.

    How many tokens an event has is a matter of timing, so events of the same structure are told once, and one
    that has several kinds of content as if each had come alone.
    """
    if line == "[DONE]":
        return line
    document = json.loads(line)
    return words(line) if "error" in document else "\n".join(map(structure, apart(document)))


def apart(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An event of a stream as those that it may have been put together from: thoughts, words, the name of a
    called tool, its arguments, and the end of a call."""
    choice = next(iter(event.get("choices", ())), {})
    delta = choice.get("delta", {})
    call = next(iter(delta.get("tool_calls") or ()), None)
    if call is not None and choice["finish_reason"] is not None:
        open_choice = {key: value for key, value in choice.items() if key != "stop_reason"}
        opened = {key: value for key, value in event.items() if key != "system_fingerprint"}
        going_on = {**opened, "choices": [{**open_choice, "finish_reason": None}]}
        return [*apart(going_on), _with_delta(event, choice, {})]
    if delta.get("reasoning") is not None and delta.get("content") is not None:
        return [_with_delta(event, choice, {key: delta[key]}) for key in ("reasoning", "content")]
    if call is not None and {"name", "arguments"} <= call["function"].keys():
        named = {**call, "function": {"name": call["function"]["name"]}}
        filled = {"index": call["index"], "function": {"arguments": call["function"]["arguments"]}}
        return [_with_delta(event, choice, {**delta, "tool_calls": [each]}) for each in (named, filled)]
    return [dict(event)]


def _with_delta(
    event: Mapping[str, Any], choice: Mapping[str, Any], delta: Mapping[str, Any]
) -> dict[str, Any]:
    return {**event, "choices": [{**choice, "delta": delta}]}


def words(message: str) -> str:
    """A message without its numbers: the two servers count tokens differently."""
    return re.sub(r"\d+", "#", message)


def structure(value: Any) -> str:
    """Structure of a JSON document: keys in order, types instead of values, finish reasons as they are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_field(key, each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(dict.fromkeys(structure(each) for each in value)) + "]"
    if value is None:
        return "null"
    return {bool: "bool", int: "number", float: "number", str: "text"}[type(value)]


def _field(key: str, value: Any) -> str:
    shown = value is not None and key in ("finish_reason", "object", "role", "owned_by")
    return repr(value) if shown else structure(value)


def differences(real: Mapping[str, Shape], emulated: Mapping[str, Shape]) -> dict[str, str]:
    """What differs, by a name that a known difference can refer to."""
    found = {}
    for name, expected in real.items():
        got = emulated[name]
        for aspect in ("status", "content_type", "headers"):
            one, other = getattr(expected, aspect), getattr(got, aspect)
            if one != other:
                found[f"answer to {name}: {aspect}"] = f"real vLLM {one!r}, emulator {other!r}"
        if not set(got.body.split(EITHER)) <= set(expected.body.split(EITHER)):
            found[f"answer to {name}: body"] = f"real vLLM {expected.body!r}, emulator {got.body!r}"
    return found


EITHER = "\n--- or ---\n"
"""Between the bodies of an answer that is a matter of chance."""


def with_alternatives(seen: Shape, before: Shape | None) -> Shape:
    """An answer that is a matter of chance, with what was seen of it before."""
    bodies = {*seen.body.split(EITHER), *([] if before is None else before.body.split(EITHER))}
    return replace(seen, body=EITHER.join(sorted(bodies)))
