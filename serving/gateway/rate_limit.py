"""How often a team may ask: token buckets by the `sub` of the token, in each gateway pod.

Each pod counts by itself and allows its share, limit / replicas. The gateway's Service spreads connections,
so a team with a single connection gets one pod's share only; a shared counter would put a database on the
path of every request. Limits come after authentication and before the body is read: who is over them costs
no more than a look at the headers, and does not count as an arrival.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from serving.gateway.arrivals import LOCAL_RATE_LIMIT, UNLIMITED_TOKENS
from serving.gateway.authentication import CLAIMS, TOKEN_METADATA, watched_config, watched_filter
from serving.gateway.documents import Document, typed

RATE_LIMITS_FILE = "rate_limits.yaml"

FILTER = "team_limit"
"""Name of the filter. The one that counts arrivals is of the same kind."""

TEAM = "team"

TEAMS_COUNTED = 1000
"""Buckets for teams without a limit of their own, in each pod; the least recently used is forgotten."""


@dataclass(frozen=True)
class Rate:
    """Requests per second in the long run, and how many may come at once."""

    requests_per_second: float
    burst: int


@dataclass(frozen=True)
class RateLimits:
    """common: for each team on its own, over the whole gateway. teams: those with other limits."""

    common: Rate
    teams: Mapping[str, Rate]


def rate_limit_filter() -> Document:
    """The filter for the listener, after the token is judged."""
    return watched_filter(FILTER, RATE_LIMITS_FILE, LOCAL_RATE_LIMIT)


def rate_limits_document(limits: RateLimits, replicas: int) -> Document:
    """The discovery document with the limits. Where they change, every bucket is full again."""
    config = team_buckets(
        FILTER,
        rate_limits=[{"actions": [by_team()]}],
        descriptors=list(_descriptors(limits, replicas)),
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
    )
    return watched_config(FILTER, config)


def team_buckets(name: str, **settings: object) -> Document:
    """Configuration of a local rate limit that refuses who finds the team's bucket empty."""
    everything = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return typed(
        LOCAL_RATE_LIMIT,
        stat_prefix=name,
        # Mandatory, and for requests of no team, which authentication has refused.
        token_bucket={
            "max_tokens": UNLIMITED_TOKENS,
            "tokens_per_fill": UNLIMITED_TOKENS,
            "fill_interval": "1s",
        },
        filter_enabled={**everything, "runtime_key": f"{name}.enabled"},
        filter_enforced={**everything, "runtime_key": f"{name}.enforced"},
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=TEAMS_COUNTED,
        **settings,
    )


def bucket(rate: Rate, replicas: int) -> Document:
    """One pod's share of a rate. It is filled with whole tokens, so below one per second less often."""
    share = rate.requests_per_second / replicas
    # Several at once where a second's share is no whole number: 2.5 per second are 250 in 100 s are 5 in 2 s.
    tokens = max(1, math.floor(share))
    return {
        "max_tokens": max(1, math.ceil(rate.burst / replicas)),
        "tokens_per_fill": tokens,
        "fill_interval": f"{tokens / share:.6f}s",
    }


def by_team() -> Document:
    """What a bucket is chosen by: the team of the token."""
    return {
        "metadata": {
            "descriptor_key": TEAM,
            "source": "DYNAMIC",
            "metadata_key": {"key": TOKEN_METADATA, "path": [{"key": CLAIMS}, {"key": "sub"}]},
        }
    }


def _descriptors(limits: RateLimits, replicas: int) -> Iterator[Document]:
    for team, rate in sorted(limits.teams.items()):
        yield {"entries": [{"key": TEAM, "value": team}], "token_bucket": bucket(rate, replicas)}
    # A blank value stands for every other team, each with a bucket of its own.
    yield {"entries": [{"key": TEAM}], "token_bucket": bucket(limits.common, replicas)}
