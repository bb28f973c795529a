"""Scripts on the request path, for the little that Envoy has no filter for."""

from __future__ import annotations

from serving.envoy.documents import Document, typed

LUA = "extensions.filters.http.lua.v3.Lua"


def lua_filter(name: str, script: str) -> Document:
    """A filter for the listener that runs `script` on every request."""
    return {"name": name, "typed_config": typed(LUA, default_source_code={"inline_string": script})}
