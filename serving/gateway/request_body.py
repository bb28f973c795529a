"""Reads `model` and `prompt_cache_key` from the body; refuses what two parsers may read differently.

Envoy's own filter for this, json_to_metadata, takes the last of a key given twice in silence, turns numbers
into strings, and builds the whole document in memory: 16 MB of `0,` took 1.4 GiB and 6 s of a worker (Envoy
1.40), more than a gateway pod has. The script goes through the text once and keeps nothing of it. What it
lets through is what orjson reads as an object with one `model`, a string: tested with made-up bodies. A
script that fails sets nothing, and the request is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from serving.gateway.documents import Document, typed
from serving.gateway.lua import DATA

SCRIPT = DATA / "request_body.lua"

FILTER = "scripts"
"""Name of the filter that runs the script (scripts.py)."""

COLLECTOR = "envoy.filters.http.buffer"
"""Name of the filter that collects the body."""


def collecting_filter(max_request_bytes: int) -> Document:
    """The filter for the listener that collects the body, right before that of scripts.py."""
    buffer = typed("extensions.filters.http.buffer.v3.Buffer", max_request_bytes=max_request_bytes)
    return {"name": COLLECTOR, "typed_config": buffer}


def uncollected() -> Mapping[str, Document]:
    """`typed_per_filter_config` of a route that answers by the headers alone: no body is waited for.

    Judged by the route that the headers lead to: once the body is read, another route changes nothing.
    """
    off = typed("config.route.v3.FilterConfig", disabled=True)
    return {COLLECTOR: off, FILTER: off}


def body_script() -> str:
    """The script for requests: after the body is collected, before the filters that need `model`."""
    return SCRIPT.read_text(encoding="utf-8")
