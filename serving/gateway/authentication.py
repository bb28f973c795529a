"""Who asks: a token is checked before anything else is looked at.

What changes while the gateway runs, the keys and the list of revoked tokens, is in files of its own that two
filters watch (Envoy's ECDS). A new listener would do as well, but it drains the old one's connections and
cuts each stream that is longer than the drain; a filter that is replaced keeps the requests that it has.
A listener with such a filter opens only once the filter has its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from serving.gateway.documents import Document, discovery, typed, watched_file
from serving.gateway.tokens import ISSUER, MAX_DAYS

AUTHENTICATION_FILE = "authentication.yaml"

FILTER = "token"
"""Name of the filter, and of its configuration."""

AUTHORIZATION = "authorization"

BEARER = "(?i:bearer) +[-A-Za-z0-9._~+/]+=*"
"""The whole header of a request with a token. The scheme is in any case (RFC 9110, section 11.1); the token
is what RFC 6750, section 2.1, allows."""

NO_TOKEN = "no-token"
"""Provider, issuer and prefix of tokens that do not exist."""

JWT_AUTHENTICATION = "extensions.filters.http.jwt_authn.v3.JwtAuthentication"

TOKEN_METADATA = "envoy.filters.http.jwt_authn"
"""Dynamic metadata of a request whose token is genuine; Envoy fixes the name."""

CLAIMS = "claims"
"""Key in it, whose value is the token's payload."""

TEAM_HEADER = "x-llm-platform-team"
"""Header between filters: the token's `sub`."""

CLOCK_SKEW_SECONDS = 30
"""By how much the clock of whoever signs may be off."""

CACHED_TOKENS = 1000
"""For each worker thread. A signature takes tens of microseconds to check, and is checked once."""


@dataclass(frozen=True)
class Authentication:
    """What opens the gateway.

    jwks: public keys, a JWKS document. audience: the stack, which tokens name as `aud`. revoked: the `jti`
    of tokens that open nothing any more.
    """

    jwks: str
    audience: str
    revoked: tuple[str, ...] = ()


def authentication_filter() -> Document:
    """The filter for the listener, before all others. What it answers itself is 401, or 403 for `aud`."""
    return watched_filter(FILTER, AUTHENTICATION_FILE, JWT_AUTHENTICATION)


def authentication_document(authentication: Authentication) -> Document:
    """The discovery document with the keys."""
    provider = {
        "issuer": ISSUER,
        "audiences": [authentication.audience],
        "local_jwks": {"inline_string": authentication.jwks},
        # Nowhere else: Envoy's default reads a query parameter too, and queries get into logs. A prefix is
        # found anywhere in a value and compared letter by letter, so the rule below looks at the whole value;
        # of one that it lets through, the token is what follows the first space.
        "from_headers": [{"name": AUTHORIZATION, "value_prefix": " "}],
        "forward": False,
        "require_expiration": True,
        # Envoy bounds what is left of a token's life, which clocks that differ make longer.
        "max_lifetime": f"{_seconds(timedelta(days=MAX_DAYS)) + CLOCK_SKEW_SECONDS}s",
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        "payload_in_metadata": CLAIMS,
        # For scripts, which would get all claims turned into tables with one. What a client sends under this
        # name is removed (seen on Envoy 1.40), and no engine gets it (engine_headers.py).
        "claim_to_headers": [{"claim_name": "sub", "header_name": TEAM_HEADER}],
        "jwt_cache_config": {"jwt_cache_size": CACHED_TOKENS},
        # Routes may look at the claims.
        "clear_route_cache": True,
    }
    bearer = {"name": AUTHORIZATION, "string_match": {"safe_regex": {"regex": BEARER}}}
    rules = [
        {"match": {"prefix": "/", "headers": [bearer]}, "requires": {"provider_name": FILTER}},
        # No rule would be no check: whatever else is asked for a token that does not exist. Signed all the
        # same, it would open nothing, because no claims are handed on.
        {"match": {"prefix": "/"}, "requires": {"provider_name": NO_TOKEN}},
    ]
    nothing = {
        "issuer": NO_TOKEN,
        "local_jwks": {"inline_string": authentication.jwks},
        "from_headers": [{"name": AUTHORIZATION, "value_prefix": NO_TOKEN}],
    }
    config = typed(JWT_AUTHENTICATION, providers={FILTER: provider, NO_TOKEN: nothing}, rules=rules)
    return watched_config(FILTER, config)


def watched_filter(name: str, file: str, message: str) -> Document:
    """A filter of the listener whose configuration is in a file of its own."""
    source = {"config_source": watched_file(file), "type_urls": [f"type.googleapis.com/envoy.{message}"]}
    return {"name": name, "config_discovery": source}


def watched_config(name: str, config: Document) -> Document:
    """The discovery document with the configuration of the filter called `name`."""
    return discovery(typed("config.core.v3.TypedExtensionConfig", name=name, typed_config=config))


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
