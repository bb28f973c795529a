"""Scripts on the request path, for the little that Envoy has no filter for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from serving.gateway.documents import Document, typed

DATA = Path(__file__).parent / "data"

HOOKS = ("envoy_on_request", "envoy_on_response")
"""What Envoy calls of a script."""

LUA = "extensions.filters.http.lua.v3.Lua"


def lua_filter(name: str, script: str) -> Document:
    """A filter for the listener that runs `script` on every request."""
    return {"name": name, "typed_config": typed(LUA, default_source_code={"inline_string": script})}


def with_constants(script: str, constants: Mapping[str, str | int]) -> str:
    """The script after a line for each constant. A JSON string is a Lua string, too."""
    return "".join(f"local {name} = {json.dumps(value)}\n" for name, value in constants.items()) + script


def joined(*scripts: str) -> str:
    """One script that does what these do one after the other, each a complete script by itself.

    A filter of its own costs each request a coroutine for each hook, and a heap that is collected by itself.
    Each script's names are its own. One that fails ends the hook for those after it.
    """
    parts: list[str] = []
    calls: dict[str, list[str]] = {hook: [] for hook in HOOKS}
    for number, script in enumerate(scripts, start=1):
        # A function, not a block: a script may switch off the compiler for all of itself. The semicolon: Lua
        # would take the line before for what is called.
        parts.append(f";(function()\n{script.rstrip()}\nend)()")
        for hook in HOOKS:
            if f"function {hook}(" in script:
                name = f"{hook}_{number}"
                parts.append(f"local {name} = {hook}")
                calls[hook].append(f"  {name}(handle)")
    for hook, lines in calls.items():
        if lines:
            parts.append("\n".join([f"function {hook}(handle)", *lines, "end"]))
    return "\n".join(parts) + "\n"
