"""What a token opens. Both filters here are closed by default: what no rule allows is refused.

The first, right after the signature is checked, refuses tokens that are revoked or lack a claim. The second,
once the body is read, asks whether the token names the model: each route to a model says which right opens
it, and one that says nothing is shut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.gateway.authentication import (
    CLAIMS,
    TOKEN_METADATA,
    Authentication,
    watched_config,
    watched_filter,
)
from serving.gateway.documents import Document, typed
from serving.gateway.tokens import EVERY_MODEL, LATEST_SECOND

REVOCATIONS_FILE = "revocations.yaml"

CLAIMS_FILTER = "claims"
MODELS_FILTER = "models"
"""Names of the filters; routes address their settings to the second."""

RBAC = "extensions.filters.http.rbac.v3.RBAC"
RBAC_PER_ROUTE = "extensions.filters.http.rbac.v3.RBACPerRoute"

TEAM_PATTERN = "[a-z]([-a-z0-9]*[a-z0-9])?"
TEAM_CHARACTERS = 40
"""As `make token` has it: the team is in every line of the log, and the key of its buckets."""

TOKEN_ID_PATTERN = "[-_A-Za-z0-9]{8}[-_A-Za-z0-9]*"
TOKEN_ID_CHARACTERS = 64
"""Those of `gateway.tokens.revoked`: a token with another `jti` could not be revoked."""


def claims_filter() -> Document:
    """The filter for the listener, right after authentication_filter(). What it refuses gets 403."""
    return watched_filter(CLAIMS_FILTER, REVOCATIONS_FILE, RBAC)


def revocations_document(authentication: Authentication) -> Document:
    """The discovery document of claims_filter(): which genuine tokens open anything at all."""
    revoked = [{"string_match": {"exact": token_id}} for token_id in authentication.revoked]
    demanded = [
        _claim("sub", _text(TEAM_PATTERN)),
        {"not_id": _claim("sub", _longer_than(TEAM_CHARACTERS))},
        _claim("jti", _text(TOKEN_ID_PATTERN)),
        {"not_id": _claim("jti", _longer_than(TOKEN_ID_CHARACTERS))},
        # Whatever Envoy makes of a number before it bounds what is left of a token's life.
        _claim("exp", {"double_match": {"range": {"start": 0, "end": LATEST_SECOND + 1}}}),
        _claim("models", {"list_match": {"one_of": _text(".+")}}),
        # One after the other; each takes about as long as a comparison of strings.
        *({"not_id": _claim("jti", match)} for match in revoked),
    ]
    return watched_config(
        CLAIMS_FILTER,
        typed(RBAC, rules=_allow([{"and_ids": {"ids": demanded}}]), rules_stat_prefix="token_"),
    )


def models_filter() -> Document:
    """The filter for the listener, after the body is read. Routes say what it lets through."""
    nothing = {"action": "ALLOW", "policies": {}}
    return {
        "name": MODELS_FILTER,
        "typed_config": typed(RBAC, rules=nothing, rules_stat_prefix="models_"),
    }


def allowed(right: str) -> Mapping[str, Document]:
    """`typed_per_filter_config` of a route that this right in a token opens."""
    principals = [_claim("models", match) for match in rights_that_open(right)]
    return {
        MODELS_FILTER: typed(
            RBAC_PER_ROUTE, rbac={"rules": _allow(principals), "rules_stat_prefix": "models_"}
        )
    }


def open_to_every_token() -> Mapping[str, Document]:
    """`typed_per_filter_config` of a route that leads to no model."""
    return {MODELS_FILTER: typed(RBAC_PER_ROUTE)}


def rights_that_open(right: str) -> Sequence[Document]:
    """Matches of the claim `models`: it is a list with the right, or with the one to everything."""
    return [{"list_match": {"one_of": {"string_match": {"exact": name}}}} for name in (right, EVERY_MODEL)]


def _allow(principals: Sequence[Document]) -> Document:
    return {
        "action": "ALLOW",
        "policies": {"token": {"permissions": [{"any": True}], "principals": principals}},
    }


def _claim(name: str, value: Document) -> Document:
    """A principal whose token says this. Without a genuine token there are no claims, and none matches."""
    matcher = {"filter": TOKEN_METADATA, "path": [{"key": CLAIMS}, {"key": name}], "value": value}
    return {"sourced_metadata": {"metadata_matcher": matcher, "metadata_source": "DYNAMIC"}}


def _longer_than(characters: int) -> Document:
    """Match of longer texts; their characters are of one byte. A pattern that counts up to its bound would
    be a larger program than Envoy accepts (100 instructions)."""
    return _text(rf"\C{{{characters + 1}}}\C*")


def _text(pattern: str) -> Document:
    return {"string_match": {"safe_regex": {"regex": pattern}}}
