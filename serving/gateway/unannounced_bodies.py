"""Bodies of no announced length (chunked) count by what they hold, as it arrives.

Only its pieces tell how long such a body is, and of Envoy 1.40's own filters none counts those by team. To
let each count as the longest body left a team 0.4 requests per second. Many clients send all their bodies so
(Spring's RestClient, Node's http.request), and so may a load balancer whose clients speak HTTP/2.

A team may hold as much in these as it may announce at once (upload_limit.py), in each thread of a pod: what
has arrived and is not finished, and what is finished and waits for its answer. Other requests do not pay for
the script: its filter is off but on the route of a request without Content-Length before its body is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from serving.gateway.authentication import CLAIMS, TOKEN_METADATA
from serving.gateway.documents import Document, typed
from serving.gateway.lua import lua_filter, with_constants
from serving.gateway.metadata import METADATA, OVER_SHARE
from serving.gateway.upload_limit import upload_bucket

SCRIPT = Path(__file__).parent / "data" / "unannounced_bodies.lua"

FILTER = "unannounced_bodies"


def unannounced_filter(max_request_bytes: int, memory_mib: int) -> Document:
    """The filter for the listener, before the one that collects bodies. Off unless a route turns it on."""
    script = with_constants(
        SCRIPT.read_text(encoding="utf-8"),
        {
            "SHARE": upload_bucket(max_request_bytes, memory_mib).at_once,
            "TOKEN_METADATA": TOKEN_METADATA,
            "CLAIMS": CLAIMS,
            "METADATA": METADATA,
            "OVER": OVER_SHARE,
        },
    )
    return {**lua_filter(FILTER, script), "disabled": True}


def counted_by_arrival() -> Mapping[str, Document]:
    """`typed_per_filter_config` of the route of requests without Content-Length, as their headers lead."""
    return {FILTER: typed("config.route.v3.FilterConfig", config={})}
