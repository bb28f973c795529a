"""Replies that are more than words: thoughts before them, and calls of tools instead of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.engine.reply import ReplyText, mix

SILENT_TOKENS = 3
"""Tokens that open a call and are not shown, such as `<tool_call>` and what precedes the name."""

PIECE = 4
"""Characters of a token of arguments."""

MAX_DEPTH = 6
"""How deep arguments follow a schema that refers to itself."""

THOUGHT_KEY = 0x7468696E6B


@dataclass(frozen=True, slots=True)
class ToolCall:
    """identity: the call's id. arguments: JSON."""

    identity: str
    name: str
    arguments: str

    @property
    def pieces(self) -> list[str]:
        return [self.arguments[at : at + PIECE] for at in range(0, len(self.arguments), PIECE)]

    @property
    def tokens(self) -> int:
        """What opens it, its name, its arguments, and what closes it."""
        return SILENT_TOKENS + 1 + len(self.pieces) + 1


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reply is made of.

    thoughts: tokens of reasoning at its beginning; shown: whether the caller wants to see them. call: the
    tool that it calls then, in place of words; named: whether the request named it; automatic: whether it
    might have used words; parsed: whether a whole answer tells the call apart.
    """

    thoughts: int
    shown: bool = True
    call: ToolCall | None = None
    named: bool = False
    automatic: bool = False
    parsed: bool = True


@dataclass(frozen=True, slots=True)
class ThoughtfulText(ReplyText):
    """Thoughts of so many tokens, and then the words of `key`."""

    thoughts: int

    def token(self, position: int) -> str:
        if position < self.thoughts:
            return ReplyText(mix(self.key ^ THOUGHT_KEY)).token(position)
        return ReplyText(self.key).token(position - self.thoughts)


def arguments_for(schema: Mapping[str, Any] | None) -> str:
    """JSON that a function with these parameters (a JSON schema) can be called with."""
    found = _value(schema, schema, 0) if schema else {}
    return json.dumps(found if isinstance(found, dict) else {}, ensure_ascii=False)


def _value(schema: object, root: Mapping[str, Any] | None, depth: int) -> object:
    """A value that fits a schema as far as types, required fields, choices and lower bounds go."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return _value(_referred(schema["$ref"], root), root, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return _value(schema[key][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    return _of_kind(kind, schema, root, depth)


def _of_kind(kind: object, schema: Mapping[str, Any], root: Mapping[str, Any] | None, depth: int) -> object:
    if kind == "object":
        properties = schema.get("properties")
        fields = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        names = required if isinstance(required, list) else list(fields)
        return {name: _value(fields.get(name, {"type": "string"}), root, depth + 1) for name in names}
    if kind == "array":
        least = schema.get("minItems", 1)
        return [_value(schema.get("items"), root, depth + 1)] * (least if isinstance(least, int) else 1)
    if kind in ("integer", "number"):
        least = schema.get("minimum", 1)
        return least if isinstance(least, int | float) else 1
    return {"boolean": True, "null": None}.get(kind, "emulated") if isinstance(kind, str) else "emulated"


def _referred(reference: str, root: Mapping[str, Any] | None) -> object:
    """What `#/$defs/X` refers to; None for what is not there."""
    found: object = root
    for step in reference.removeprefix("#").removeprefix("/").split("/") if reference != "#" else ():
        if not isinstance(found, dict):
            return None
        found = found.get(step)
    return found
