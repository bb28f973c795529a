"""The token of the benchmark's requests, and the key that checks it: made up for each run."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from serving.gateway.jwks import write_jwks
from serving.gateway.tokens import EVERY_MODEL, claims, mint, new_key

AUDIENCE = "gateway-benchmark"
TEAM = "load"

_KEY = new_key()


def jwks() -> str:
    """What a gateway gets that is to check tokens."""
    return write_jwks([_KEY.public])


@cache
def token() -> str:
    return mint(_KEY, claims(TEAM, AUDIENCE, [EVERY_MODEL], (), timedelta(days=1)))


def authorization() -> dict[str, str]:
    """The header of every request, also to servers that check nothing: all read the same bytes."""
    return {"authorization": f"Bearer {token()}"}
