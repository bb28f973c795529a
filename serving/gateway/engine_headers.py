"""Which headers reach an engine: a short list, so that no client steers one by a header that we do not know.

By some a client of vLLM 0.32 would choose who computes its answer and before whom (X-data-parallel-rank,
X-Session-Id, X-Vllm-Priority), by others servers take a request for another one (X-HTTP-Method-Override,
X-Forwarded-Host, X-Original-URL), and tokens and cookies are none of an engine's business. What Envoy itself
adds (X-Forwarded-For and others) goes, too.

Envoy removes headers whose names match; it cannot keep those that do. So patterns are made here that match
every name but the listed ones, several of them, because Envoy refuses long ones (100 instructions of RE2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

from serving.gateway.documents import Document, typed
from serving.gateway.tries import ATTEMPT_HEADER

FOR_ENGINES = ("accept", "content-length", "content-type", "x-request-id")
"""Headers that engines get, besides Host. Not accept-encoding: an answer is read for its tokens on its way.
Not traceparent: nothing collects an engine's traces yet, and a client would choose which are kept."""

ARRIVING = frozenset({"host", *FOR_ENGINES, ATTEMPT_HEADER})
"""All that an engine sees: Envoy counts its tries after this filter, and adds the number."""

HEADER_MUTATION = "extensions.filters.http.header_mutation.v3.HeaderMutation"

DEPTH = 7
"""Characters of a name that one pattern follows; each takes about nine instructions."""

_FIRST, _LAST = 0x21, 0x7E
"""Printable ASCII. A header's name has nothing else (RFC 9110, section 5.1)."""


def engine_headers_filter() -> Document:
    """The filter for the listener, right before the router: nothing after it reads a header of a client."""
    removed = [
        {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": pattern}}}}
        for pattern in every_name_but(FOR_ENGINES)
    ]
    return {
        "name": "envoy.filters.http.header_mutation",
        "typed_config": typed(HEADER_MUTATION, mutations={"request_mutations": removed}),
    }


def every_name_but(names: Collection[str]) -> Iterator[str]:
    """Patterns of which one matches each name that is not among `names`; none matches a pseudo-header."""
    begun = {name[0] for name in names}
    yield f"{_no_character_of({*begun, ':'})}\\C*"
    pending = sorted(begun)
    while pending:
        prefix = pending.pop(0)
        deeper: list[str] = []
        yield prefix + _ending(prefix, names, DEPTH, deeper)
        pending += deeper


def _ending(prefix: str, names: Collection[str], depth: int, deeper: list[str]) -> str:
    """What may follow `prefix` so that it becomes none of `names`. Beginnings of names that are longer by
    more than `depth` are added to `deeper`, for a pattern of their own."""
    following = sorted({name[len(prefix)] for name in names if name != prefix and name.startswith(prefix)})
    ways = [f"{_no_character_of(following)}\\C*"]
    for character in following:
        longer = prefix + character
        if depth == 0:
            deeper.append(longer)
        else:
            ways.append(character + _ending(longer, names, depth - 1, deeper))
    return f"({'|'.join(ways)}){'' if prefix in names else '?'}"


def _no_character_of(characters: Collection[str]) -> str:
    """A class of the printable characters but these, as the ranges between them."""
    edges = [_FIRST - 1, *sorted(map(ord, characters)), _LAST + 1]
    ranges = [(low + 1, high - 1) for low, high in pairwise(edges) if high - low > 1]
    return "[" + "".join(f"\\x{low:02x}-\\x{high:02x}" for low, high in ranges) + "]"
