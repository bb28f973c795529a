"""Affinity: requests with the same `prompt_cache_key` meet on one replica, where their prefix is cached.

`prompt_cache_key` is OpenAI's parameter for this. A client sets it to whatever its requests have in common:
a conversation, a document, a long system prompt. Without it, a request goes to the replica with the fewest
in flight.

Consistent hashing alone would let one popular key overload its replica, so the load is bounded: a replica
that has BALANCE_PER_CENT of the mean in flight passes the request on, for each key to the same others. Each
gateway pod bounds what it sees itself. Requests with and without a key are balanced apart from each other;
where each half is even, so is their sum. What it gains and costs is measured in docs/affinity.md.
"""

from __future__ import annotations

from typing import Literal

from serving.gateway.documents import Document
from serving.gateway.metadata import PROMPT_CACHE_KEY, filter_state

Balancing = Literal["least_request", "affinity"]
"""How a replica is chosen: the one with the fewest in flight, or the one where a key's prefix is cached."""

BALANCE_PER_CENT = 125
"""Of the mean in flight. In docs/affinity.md it costs a few of the hits that no bound has, and the busiest
replica computes 1.3 times the mean instead of 1.6 (conversations)."""


def hash_policy() -> Document:
    """The part of a route's action that says what is hashed."""
    return {"hash_policy": [{"filter_state": {"key": filter_state(PROMPT_CACHE_KEY)}}]}


def hashing() -> Document:
    """The part of a cluster that says how hosts are chosen.

    Hosts are hashed by address, so that every gateway pod finds the same replica for a key. A replica that
    comes or goes moves its own share of the keys and 0.1 % of the others. On Envoy's ring, where points for
    each host become more as hosts go, it would be a tenth of the others (simulated with 2 to 8 replicas).
    """
    return {
        "lb_policy": "MAGLEV",
        "common_lb_config": {"consistent_hashing_lb_config": {"hash_balance_factor": BALANCE_PER_CENT}},
    }
