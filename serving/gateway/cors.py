"""Web pages of other origins: which may ask from a browser (CORS). None unless the stack names them.

Envoy's own filter. It answers the browser's preflight, which carries no token, before the token is asked for,
and adds its headers to every answer to such a page, errors included. An origin that is not on the list gets
no header: its preflight is refused with 401 as any request without a token, and a browser shows the page
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serving.gateway.authentication import CLAIMS, TOKEN_METADATA
from serving.gateway.documents import Document, typed

FILTER = "envoy.filters.http.cors"

READABLE = ("retry-after", "x-request-id", "x-llm-platform-model", "x-should-retry")
"""Headers of an answer that a page may read besides those that browsers always show."""

PREFLIGHT_SECONDS = 600
"""How long a browser remembers the answer to a preflight."""


def cors_filter() -> Document:
    """The filter for the listener, before all others."""
    return {"name": FILTER, "typed_config": typed("extensions.filters.http.cors.v3.Cors")}


def page_routes(origins: Sequence[str]) -> Iterator[Document]:
    """Routes for requests of pages of these origins (https://app.example.com), first in each list.

    The filter looks at a request only if its route leads to a cluster, and most first look-ups here lead to a
    refusal, because no body has been read. These lead to one that does not exist, and hold until the token is
    judged; then Envoy looks again, and the claims are there.
    """
    unjudged = {
        "filter": TOKEN_METADATA,
        "path": [{"key": CLAIMS}],
        "value": {"present_match": True},
        "invert": True,
    }
    for origin in origins:
        yield {
            "match": {
                "prefix": "/",
                "headers": [{"name": "origin", "string_match": {"exact": origin}}],
                "dynamic_metadata": [unjudged],
            },
            "typed_per_filter_config": {FILTER: _policy(origin)},
            "route": {"cluster": "none"},
        }


def _policy(origin: str) -> Document:
    return typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": origin}],
        allow_methods="GET, POST",
        # OpenAI's client sends a dozen of its own (X-Stainless-...). The star does not cover the first.
        allow_headers="authorization, *",
        expose_headers=", ".join(READABLE),
        max_age=str(PREFLIGHT_SECONDS),
    )
