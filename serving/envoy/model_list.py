"""`GET /v1/models` and `GET /v1/models/<name>`: what the token may use, answered by the gateway itself.

A list for each token cannot be written into routes. A script of a few lines puts it together; if it fails,
the route answers 500.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from serving.envoy.authentication import CLAIMS, TOKEN_METADATA
from serving.envoy.authorization import allows, open_to_every_token
from serving.envoy.documents import Document, typed
from serving.envoy.lua import LUA
from serving.envoy.paths import MODELS_PATH
from serving.envoy.request_body import uncollected
from serving.served import ServedModel
from serving.tokens import EVERY_MODEL

FILTER = "model_list"

LUA_PER_ROUTE = "extensions.filters.http.lua.v3.LuaPerRoute"


def model_list_filter() -> Document:
    """The filter for the listener, after the token is judged. It runs on one route only."""
    return {"name": FILTER, "typed_config": typed(LUA)}


def rights(models: Sequence[ServedModel]) -> Iterator[tuple[str, str]]:
    """Every name that clients may send as `model`, with the right that opens it."""
    for model in models:
        yield from ((name, model.name) for name in (model.name, *model.aliases))
        yield from ((name, name) for name in model.adapters)


def model_list(models: Sequence[ServedModel]) -> Iterator[Document]:
    """The routes. A model that the token does not open does not exist for it."""
    get = {"headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}
    script = _script([(right, _entry(name)) for name, right in rights(models)])
    yield {
        "match": {"path": MODELS_PATH, **get},
        "typed_per_filter_config": {
            **open_to_every_token(),
            **uncollected(),
            FILTER: typed(LUA_PER_ROUTE, source_code={"inline_string": script}),
        },
        "direct_response": {"status": 500},
    }
    for name, right in rights(models):
        yield {
            "match": {"path": f"{MODELS_PATH}/{name}", **get, "dynamic_metadata": [allows(right)]},
            "typed_per_filter_config": {**open_to_every_token(), **uncollected()},
            "direct_response": {"status": 200, "body": {"inline_string": _entry(name)}},
            "response_headers_to_add": [
                {
                    "header": {"key": "content-type", "value": "application/json"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        }


def _entry(name: str) -> str:
    # OpenAI's clients demand `created`; a time here would change the configuration on every run.
    return json.dumps({"id": name, "object": "model", "created": 0, "owned_by": "llm-platform"})


def _script(entries: Sequence[tuple[str, str]]) -> str:
    listed = "\n".join(f"  {{ {_quoted(right)}, {_quoted(entry)} }}," for right, entry in entries)
    return SCRIPT.format(entries=listed, metadata=TOKEN_METADATA, claims=CLAIMS, every=_quoted(EVERY_MODEL))


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
function envoy_on_request(request)
  local token = request:streamInfo():dynamicMetadata():get("{metadata}")
  local rights = {{}}
  for _, right in ipairs(token["{claims}"]["models"]) do rights[right] = true end
  local found = {{}}
  for _, entry in ipairs(entries) do
    if rights[entry[1]] or rights[{every}] then table.insert(found, entry[2]) end
  end
  request:respond(
    {{ [":status"] = "200", ["content-type"] = "application/json" }},
    '{{"object": "list", "data": [' .. table.concat(found, ", ") .. "]}}"
  )
end
"""
