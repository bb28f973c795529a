"""How often a request is tried: two budgets that share no counter.

A request that was not delivered (no connection, a stream refused), or that an engine refused before any work
(503, its queue is full), is tried up to four times. One that was delivered whole and then broken off is
delivered once more, whichever Service it goes to: the request itself may be what ends the engine. With one
counter for all causes one such request ended four replicas, and a client that tried again twelve.

Envoy counts all causes in one `num_retries`, and does not say how a try ended. It does add up the bytes sent
to and received from engines over all tries that got a connection (seen on 1.40), and those tell (tries.lua).
The script runs inside the router, before every try but the first: a request that is answered at once pays for
one look-up in a map, 1.5 us of CPU time.

Envoy's own causes would not do: `reset-before-request` never delivers twice, which loses what a killed engine
had not begun to answer and what goes out on a connection that the engine is just closing.
"""

from __future__ import annotations

from pathlib import Path

from serving.gateway.documents import Document, typed
from serving.gateway.lua import lua_filter, with_constants
from serving.gateway.metadata import METADATA

SCRIPT = Path(__file__).parent / "data" / "tries.lua"

UNDELIVERED = 4
"""Tries that did not deliver the request, or that an engine refused because its queue was full."""

DELIVERIES = 2
"""Tries that deliver the request and break before an answer."""

RETRIES = UNDELIVERED + DELIVERIES - 1
"""Envoy's bound. So many tries can fail before one budget is used up; the retry after that sends nothing: the
script answers in its place."""

LOOK = "x-llm-platform-tries"
"""Header between two filters. No engine and no client sees it."""

LOOKED_AT = "%UPSTREAM_HEADER_BYTES_SENT% %UPSTREAM_HEADER_BYTES_RECEIVED%"
"""Of all tries of the request so far."""

OUTCOME = "outcome"
"""Metadata of a request that no engine answered: one of the words below."""

BROKEN = "broken"
FULL = "full"
UNREACHABLE = "unreachable"

ATTEMPT_HEADER = "x-envoy-attempt-count"
"""Set by Envoy before each try (`include_request_attempt_count`)."""


def tries_filters() -> list[Document]:
    """The router's filters for each try, the last one being the codec."""
    number = typed("type.matcher.v3.HttpRequestHeaderMatchInput", header_name=ATTEMPT_HEADER)
    nothing = typed("extensions.filters.common.matcher.action.v3.SkipFilter")
    chosen = typed(
        "extensions.filters.http.composite.v3.ExecuteFilterAction",
        filter_chain={"typed_config": [_look(), _decide()]},
    )
    only_retries = typed(
        "extensions.common.matching.v3.ExtensionWithMatcher",
        extension_config={
            "name": "composite",
            "typed_config": typed("extensions.filters.http.composite.v3.Composite"),
        },
        xds_matcher={
            "matcher_tree": {
                "input": {"name": "attempt", "typed_config": number},
                "exact_match_map": {"map": {"1": {"action": {"name": "first", "typed_config": nothing}}}},
            },
            "on_no_match": {"action": {"name": "retry", "typed_config": chosen}},
        },
    )
    codec = typed("extensions.filters.http.upstream_codec.v3.UpstreamCodec")
    return [
        {"name": "tries", "typed_config": only_retries},
        {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
    ]


def _look() -> Document:
    look = {
        "append": {
            "header": {"key": LOOK, "value": f"{LOOKED_AT} %UPSTREAM_CLUSTER%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    }
    mutation = typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation", mutations={"request_mutations": [look]}
    )
    return {"name": "look", "typed_config": mutation}


def _decide() -> Document:
    constants = {
        "LOOK": LOOK,
        "METADATA": METADATA,
        "DELIVERIES": DELIVERIES,
        "UNDELIVERED": UNDELIVERED,
    }
    return lua_filter("decide", with_constants(SCRIPT.read_text(encoding="utf-8"), constants))
