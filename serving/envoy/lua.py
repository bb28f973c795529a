"""Scripts on the request path, for the little that Envoy has no filter for."""

from __future__ import annotations

import json
from collections.abc import Mapping

from serving.envoy.documents import Document, typed

LUA = "extensions.filters.http.lua.v3.Lua"


def lua_filter(name: str, script: str) -> Document:
    """A filter for the listener that runs `script` on every request."""
    return {"name": name, "typed_config": typed(LUA, default_source_code={"inline_string": script})}


def with_constants(script: str, constants: Mapping[str, str | int]) -> str:
    """The script after a line for each constant. A JSON string is a Lua string, too."""
    return "".join(f"local {name} = {json.dumps(value)}\n" for name, value in constants.items()) + script
