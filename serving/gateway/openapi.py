"""The gateway's published description, OpenAPI 3.1: what a client of any stack may send, and what comes back.

`python -m serving.gateway.openapi` writes docs/openapi.json from the table of paths that the gateway's routes
are made from. Schemas of bodies hold what the gateway itself reads, and of the rest what engines cannot do
without; engines take more (vLLM's documentation) and answer 400 to what they do not understand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from serving.gateway.paths import MODELS_PATH, TASK_PATHS
from sizing.models.task import Task

PATH = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"

VERSION = "1"
"""Goes up when a path, a field or a status is removed or changes its meaning."""

Schema = Mapping[str, object]

BODILESS = (400, 401, 408, 429, 431)
"""Statuses of REFUSALS that a request without a body can get, too."""

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT, "minItems": 1}
OBJECT: Schema = {"type": "object"}

MODEL: Schema = {
    "type": "string",
    "minLength": 1,
    "description": "a name of GET /v1/models: a model, one of its aliases, or an adapter; exactly once",
}
CACHE_KEY: Schema = {
    "type": "string",
    "description": "requests with the same key go to the same replica while it is not overloaded, and find "
    "their common beginning in its cache",
}
MESSAGE: Schema = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": TEXT},
}
GENERATION: Schema = {
    "stream": {"type": "boolean", "description": "server-sent events, ended by [DONE]"},
    "max_tokens": {"type": "integer", "minimum": 1},
}

FIELDS: Mapping[str, tuple[Schema, Sequence[str]]] = {
    "/v1/chat/completions": (
        {"messages": {"type": "array", "items": MESSAGE, "minItems": 1}, **GENERATION},
        ["messages"],
    ),
    "/v1/completions": ({"prompt": {"type": "string", "minLength": 1}, **GENERATION}, ["prompt"]),
    "/v1/embeddings": (
        {
            "input": {"anyOf": [TEXT, TEXTS]},
            "encoding_format": {"enum": ["float", "base64"]},
            "dimensions": {
                "type": "integer",
                "minimum": 1,
                "description": "of models that have shorter ones",
            },
        },
        ["input"],
    ),
    "score": ({"queries": {"anyOf": [TEXT, TEXTS]}, "documents": TEXTS}, ["queries", "documents"]),
    "rerank": (
        {"query": TEXT, "documents": TEXTS, "top_n": {"type": "integer", "minimum": 0}},
        ["query", "documents"],
    ),
}
"""Fields beside `model` and which of them are required, by path or by the last part of it."""

PURPOSE: Mapping[Task, str] = {
    "generate": "Text from a model that generates",
    "embed": "Vectors from a model that embeds",
    "rerank": "Relevance of documents for a query, from a model that reranks",
}

RETRY_AFTER: Schema = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}

REFUSALS: Mapping[int, str] = {
    400: "no proper HTTP, not one JSON object with one string `model`, or nothing that the model's engine "
    "understands",
    401: "no token, or one that is expired, revoked, of another gateway or not signed by a known key",
    403: "the token does not allow this model",
    404: "no such model",
    408: "the request did not arrive in time",
    413: "the body is larger than this gateway allows",
    431: "the headers are too large",
    429: "more requests than the team may send",
    503: "no replica can take it now: all are busy, or the model sleeps and is being started",
}
"""Statuses that the gateway answers with on its own, for any request that has a body."""


def description(paths: Mapping[Task, Sequence[str]]) -> dict[str, object]:
    """The whole document, for a gateway that serves `paths`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "llm-platform gateway",
            "version": VERSION,
            "description": "OpenAI's API for the models of one stack. Clients pass their team's token as API "
            "key. Every error has OpenAI's shape. Everything that is not listed here is refused.",
        },
        "security": [{"token": []}],
        "paths": {
            MODELS_PATH: {"get": _model_list()},
            f"{MODELS_PATH}/{{model}}": {"get": _model_entry()},
            **{path: {"post": _request(path, task)} for task, found in paths.items() for path in found},
        },
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "signed for one team, by `make token`",
                }
            },
            "schemas": {"Error": _error(), "Model": _model()},
        },
    }


def _model_list() -> dict[str, object]:
    listed = {
        "type": "object",
        "required": ["object", "data"],
        "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _reference("Model")}},
    }
    return {
        "summary": "The models that the token allows",
        "operationId": "list_models",
        "responses": {"200": _json("the models", listed), **_refusals(*BODILESS)},
    }


def _model_entry() -> dict[str, object]:
    return {
        "summary": "One model",
        "operationId": "get_model",
        "parameters": [{"name": "model", "in": "path", "required": True, "schema": MODEL}],
        "responses": {"200": _json("the model", _reference("Model")), **_refusals(*BODILESS, 403, 404)},
    }


def _request(path: str, task: Task) -> dict[str, object]:
    fields, required = FIELDS[path] if path in FIELDS else FIELDS[path.rpartition("/")[2]]
    body = {
        "type": "object",
        "required": ["model", *required],
        "properties": {"model": MODEL, **fields, "prompt_cache_key": CACHE_KEY},
    }
    answer: dict[str, object] = _json("the engine's answer", OBJECT)
    if task == "generate":
        answer["content"] = {**_content(OBJECT), "text/event-stream": {}}
    return {
        "summary": PURPOSE[task],
        "operationId": path.strip("/").replace("/", "_"),
        "requestBody": {"required": True, "content": _content(body)},
        "responses": {"200": answer, **_refusals(*REFUSALS)},
    }


def _refusals(*statuses: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for status in statuses:
        answer = _json(REFUSALS[status], _reference("Error"))
        if status in (429, 503):
            answer["headers"] = RETRY_AFTER
        found[str(status)] = answer
    return found


def _json(meaning: str, schema: Schema) -> dict[str, object]:
    return {"description": meaning, "content": _content(schema)}


def _content(schema: Schema) -> dict[str, object]:
    return {"application/json": {"schema": schema}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _error() -> Schema:
    """OpenAI's. Engines give the status as `code`, the gateway a word."""
    fields = {
        "message": TEXT,
        "type": TEXT,
        "param": {"type": ["string", "null"]},
        "code": {"type": ["string", "integer", "null"]},
    }
    inner = {"type": "object", "required": list(fields), "properties": fields}
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}


def _model() -> Schema:
    return {
        "type": "object",
        "required": ["id", "object", "created", "owned_by", "root", "parent", "max_model_len"],
        "properties": {
            "id": TEXT,
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": TEXT,
            "root": {"type": ["string", "null"], "description": "what is served: a Hugging Face id"},
            "parent": {"type": ["string", "null"], "description": "of an adapter: the model that it adapts"},
            "max_model_len": {
                "type": ["integer", "null"],
                "description": "tokens of prompt and reply together",
            },
        },
    }


def rendered() -> str:
    """The text of docs/openapi.json."""
    return json.dumps(description(TASK_PATHS), indent=2) + "\n"


def main(path: Path) -> int:
    path.write_text(rendered(), encoding="utf-8")
    print(f"{path.name}: version {VERSION}, {sum(len(found) for found in TASK_PATHS.values()) + 2} paths")
    return 0


if __name__ == "__main__":
    sys.exit(main(PATH))
