"""`GET /v1/models` and `GET /v1/models/<name>`: what the token may use, answered by the gateway itself.

A list for each token cannot be written into routes, and neither can every spelling of a name in a path: the
official client escapes a slash (%2F), others a colon, and a proxy may escape any character. A script of a few
lines does both; if it fails, the route answers 500.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from serving.gateway.authentication import CLAIMS, TOKEN_METADATA
from serving.gateway.authorization import open_to_every_token
from serving.gateway.documents import Document, typed
from serving.gateway.errors import ERROR_METADATA
from serving.gateway.lua import LUA
from serving.gateway.paths import MODELS_PATH
from serving.gateway.request_body import uncollected
from serving.gateway.served import ServedModel
from serving.gateway.tokens import EVERY_MODEL

FILTER = "model_list"

LUA_PER_ROUTE = "extensions.filters.http.lua.v3.LuaPerRoute"


def model_list_filter() -> Document:
    """The filter for the listener, after the token is judged. It runs on one route only."""
    return {"name": FILTER, "typed_config": typed(LUA)}


@dataclass(frozen=True)
class Entry:
    """A name that clients may send as `model`, the right that opens it, and what the list says of it."""

    name: str
    right: str
    card: Mapping[str, object]


def entries(models: Sequence[ServedModel]) -> Iterator[Entry]:
    """Every name, each model's own first."""
    for model in models:
        for name in (model.name, *model.aliases):
            yield Entry(name, model.name, _card(name, model.max_model_len, model.root, None))
        for name in model.adapters:
            root = model.adapter_roots.get(name)
            yield Entry(name, name, _card(name, model.max_model_len, root, model.name))


def _card(name: str, max_model_len: int | None, root: str | None, parent: str | None) -> Mapping[str, object]:
    """As vLLM 0.32 lists a model (ModelCard), but that it leaves out an adapter's max_model_len."""
    return {
        "id": name,
        "object": "model",
        # OpenAI's clients demand it; a time here would change the configuration on every run.
        "created": 0,
        "owned_by": "llm-platform",
        "root": root,
        "parent": parent,
        "max_model_len": max_model_len,
    }


def model_list(models: Sequence[ServedModel]) -> Iterator[Document]:
    """The routes. A model that the token does not open does not exist for it."""
    script = _script(list(entries(models)))
    for match in ({"path": MODELS_PATH}, {"prefix": f"{MODELS_PATH}/"}):
        yield {
            "match": {**match, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]},
            "metadata": {"filter_metadata": {ERROR_METADATA: {"code": "model_not_found", "param": "model"}}},
            "typed_per_filter_config": {
                **open_to_every_token(),
                **uncollected(),
                FILTER: typed(LUA_PER_ROUTE, source_code={"inline_string": script}),
            },
            "direct_response": {"status": 500},
        }


def _script(listed: Sequence[Entry]) -> str:
    rows = (
        f"  {{ {_quoted(entry.name)}, {_quoted(entry.right)}, {_quoted(json.dumps(entry.card))} }},"
        for entry in listed
    )
    return SCRIPT.format(
        entries="\n".join(rows),
        metadata=TOKEN_METADATA,
        claims=CLAIMS,
        every=_quoted(EVERY_MODEL),
        prefix=_quoted(f"{MODELS_PATH}/"),
        missing=_quoted(
            f"The token opens no model of this name. GET {MODELS_PATH} lists those that it does."
        ),
    )


def _quoted(text: str) -> str:
    """`text` as a string of Lua. An alias may have any character."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in text.encode()
    )
    return f'"{"".join(plain)}"'


SCRIPT = """\
local entries = {{
{entries}
}}
local prefix = {prefix}
local json = {{ [":status"] = "200", ["content-type"] = "application/json" }}
function envoy_on_request(request)
  local token = request:streamInfo():dynamicMetadata():get("{metadata}")
  local rights = {{}}
  for _, right in ipairs(token["{claims}"]["models"]) do rights[right] = true end
  local path = request:headers():get(":path"):gsub("%?.*", "")
  local wanted
  if path:sub(1, #prefix) == prefix then
    wanted = path:sub(#prefix + 1):gsub("%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end)
  end
  local found = {{}}
  for _, entry in ipairs(entries) do
    if rights[entry[2]] or rights[{every}] then
      if entry[1] == wanted then return request:respond(json, entry[3]) end
      table.insert(found, entry[3])
    end
  end
  if wanted then return request:respond({{ [":status"] = "404" }}, {missing}) end
  request:respond(json, '{{"object": "list", "data": [' .. table.concat(found, ", ") .. "]}}")
end
"""
