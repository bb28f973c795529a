"""What filters find out about a request, and under which names routes look it up.

The body filter writes dynamic metadata. Route trees and consistent hashing cannot read that, only filter
state, so a filter after it copies two values: the model, by which one look-up finds the routes however many
models there are, and the prompt cache key, by which requests with a common prefix meet on one replica.
"""

from __future__ import annotations

from serving.gateway.documents import Document, typed

METADATA = "llm-platform"
"""Dynamic metadata of a request: `model`, made printable(), and `prompt_cache_key` of its body,
if it has one."""

MODEL = "model"
PROMPT_CACHE_KEY = "prompt_cache_key"
SEQUENCES = "sequences"
"""How many sequences a request asks for, if more than one: `n` times its prompts. A number."""

PROBLEM = "problem"
"""Set in place of `model`: a sentence about what is wrong with a body that is JSON."""

OVER_SHARE = "over_share"
"""Set where the team's bodies of no announced length fill their share (unannounced_bodies.py)."""

OVER_PLACES = "over_places"
"""Set where the team has all the requests in flight that it may; its value is how many (places.py)."""

SET_FILTER_STATE = "extensions.filters.http.set_filter_state.v3.Config"


def printable(name: str) -> str:
    """A model's name as the body's reader notes it: all but printable ASCII, and %, as %XX.

    Routes look it up in this form, and it is repeated in logs and errors.
    """
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte != ord("%") else f"%{byte:02X}" for byte in name.encode()
    )


def filter_state(key: str) -> str:
    """Name of the filter state that holds the metadata `key`."""
    return f"{METADATA}.{key}"


def present(key: str) -> Document:
    """Match of a request whose metadata has `key`, for `dynamic_metadata` of a route."""
    return {"filter": METADATA, "path": [{"key": key}], "value": {"present_match": True}}


def filter_state_filter() -> Document:
    """The filter for the listener, after the one that reads the body. What is missing stays unset."""
    return {
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": typed(
            SET_FILTER_STATE,
            on_request_headers=[
                _copied(MODEL, "envoy.string"),
                _copied(PROMPT_CACHE_KEY, "envoy.hashable_string"),
            ],
            # The first look-up of the route was before the body was read.
            clear_route_cache=True,
        ),
    }


def _copied(key: str, factory: str) -> Document:
    return {
        "object_key": filter_state(key),
        "factory_key": factory,
        "format_string": {
            "text_format_source": {"inline_string": f"%DYNAMIC_METADATA({METADATA}:{key})%"},
            # Else what is missing would be the value "-".
            "omit_empty_values": True,
        },
        "skip_if_empty": True,
    }
