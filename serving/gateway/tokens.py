"""Tokens of the gateway: who may ask which models until when, signed with a key that the gateway never sees.

A token is a JWT (RFC 7519) signed with ES256, ECDSA on the curve P-256: every cloud's KMS can sign it. The
gateway holds the public keys as a JWKS (RFC 7517), one or two of them, so that a key can be replaced while
tokens of the old one are in use.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from serving.gateway.jwks import PublicKey, coordinate
from sizing.choices import valid_choices

ISSUER = "llm-platform"
"""Claim `iss` of every token."""

ALGORITHM = "ES256"
"""RFC 7518, section 3.4."""

MAX_DAYS = 90
"""Longest life of a token. The gateway demands it too, of tokens that somebody else has signed."""

EVERY_MODEL = "*"
"""In the claim `models`: every model, also one that the stack gets later."""

TEAM_RULE = "a DNS label of at most 40 characters: a-z, 0-9 and -, starting with a letter"
"""The rule of `gateway.rate_limit.teams`, where the same names stand."""

_TEAM = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")

TOKEN_ID_BYTES = 16
"""Random bytes of a `jti`, 22 characters of base64url: nobody guesses or meets one a second time."""

_COORDINATE_BYTES = 32


class TokenError(ValueError):
    """A token that cannot be minted, or that does not open this gateway; one line says why."""


class Signer(Protocol):
    """Whoever holds a private key: this process, or a KMS that never gives it away."""

    @property
    def kid(self) -> str:
        """Which public key of the JWKS checks the signature."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of `message` as JWS wants it: r and s, 32 bytes each."""
        ...


@dataclass(frozen=True)
class SigningKey:
    """A private key in this process. Its value shows in no message.

    name: what the JWKS calls it, where that is not its thumbprint.
    """

    private: ec.EllipticCurvePrivateKey = field(repr=False)
    name: str | None = None

    @property
    def public(self) -> PublicKey:
        """The half that the gateway gets."""
        numbers = self.private.public_key().public_numbers()
        x, y = coordinate(numbers.x), coordinate(numbers.y)
        return PublicKey.of(x, y) if self.name is None else PublicKey(self.name, x, y)

    @property
    def kid(self) -> str:
        """Name of the public half."""
        return self.public.kid

    def sign(self, message: bytes) -> bytes:
        """See Signer."""
        return raw_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))

    def pem(self) -> bytes:
        """The private key as PKCS 8, not encrypted: for a file that only its owner may read."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_key() -> SigningKey:
    """A random key."""
    return SigningKey(ec.generate_private_key(ec.SECP256R1()))


def read_signing_key(pem: bytes) -> SigningKey:
    """The key in `pem`. Raises TokenError if it is not a private key on P-256 without a passphrase."""
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        # The library's message says what it expected, and nothing of the content.
        raise TokenError(f"not a private key in PEM without a passphrase ({type(error).__name__})") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        raise TokenError(f"a private key, but not one on the curve P-256, which {ALGORITHM} needs")
    return SigningKey(private)


def raw_signature(der: bytes) -> bytes:
    """A signature in DER, which libraries and every KMS answer with, as JWS wants it (RFC 7518, 3.4)."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")


@dataclass(frozen=True)
class Claims:
    """What a token says.

    team: whose it is, `sub`. audience: the stack whose gateway it opens, `aud`. models: rights, which are
    names of models and adapters, or only EVERY_MODEL. token_id: by what it can be revoked, `jti`.
    Times are whole seconds.
    """

    team: str
    audience: str
    models: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    token_id: str

    def payload(self) -> dict[str, Any]:
        """The claims under their names in a JWT."""
        return {
            "iss": ISSUER,
            "sub": self.team,
            "aud": self.audience,
            "iat": int(self.issued_at.timestamp()),
            "exp": int(self.expires_at.timestamp()),
            "jti": self.token_id,
            "models": list(self.models),
        }


def claims(
    team: str,
    audience: str,
    models: Sequence[str],
    known: Collection[str],
    life: timedelta,
    now: datetime | None = None,
) -> Claims:
    """Checked claims of a new token, which is valid from `now` on for `life`.

    models: rights, all out of `known`, or only EVERY_MODEL. Raises TokenError.
    """
    if not _TEAM.fullmatch(team):
        raise TokenError(f"team {team!r}: must be {TEAM_RULE}")
    if not models:
        raise TokenError(
            f"models: must not be empty. {valid_choices('', known)}; '{EVERY_MODEL}' alone is all"
        )
    if EVERY_MODEL in models and len(models) > 1:
        raise TokenError(f"models: '{EVERY_MODEL}' is every model already: leave out the others, or it")
    for model in models:
        if model != EVERY_MODEL and model not in known:
            raise TokenError(f"models: no model {model!r}: {valid_choices(model, known)}")
    if not timedelta(seconds=1) <= life <= timedelta(days=MAX_DAYS):
        raise TokenError(
            f"life of {life.total_seconds() / 86400:g} days: must be at most {MAX_DAYS} and above 0"
        )
    issued_at = (now or datetime.now(UTC)).replace(microsecond=0)
    return Claims(
        team=team,
        audience=audience,
        models=tuple(dict.fromkeys(models)),
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=int(life.total_seconds())),
        token_id=_base64url(secrets.token_bytes(TOKEN_ID_BYTES)),
    )


def mint(signer: Signer, content: Claims) -> str:
    """The token: JWS in compact form (RFC 7515, section 7.1)."""
    return sign(signer, content.payload())


def sign(signer: Signer, payload: Mapping[str, Any]) -> str:
    """Any payload as a signed token, also one that the gateway must refuse."""
    header = {"alg": ALGORITHM, "kid": signer.kid, "typ": "JWT"}
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, payload))
    message = ".".join(_base64url(part) for part in parts)
    return f"{message}.{_base64url(signer.sign(message.encode()))}"


def verified(token: str, keys: Sequence[PublicKey], audience: str, now: datetime | None = None) -> Claims:
    """The claims of `token`, judged as the gateway judges it. Raises TokenError."""
    by_kid = {key.kid: key for key in keys}
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        if kid not in by_kid:
            raise TokenError(f"signed by no key of the JWKS: it names {kid!r}. {valid_choices('', by_kid)}")
        payload = jwt.decode(
            token,
            by_kid[kid].key(),
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            # The clock is the caller's.
            options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError as error:
        raise TokenError(f"not a token for {audience}: {error}") from None
    if not isinstance(payload["models"], list) or not all(
        isinstance(name, str) for name in payload["models"]
    ):
        raise TokenError("claim models: must be a list of names")
    for claim in ("iat", "exp"):
        if not isinstance(payload[claim], int) or not 0 <= payload[claim] <= LATEST_SECOND:
            raise TokenError(f"claim {claim}: must be whole seconds since 1970")
    found = Claims(
        team=payload["sub"],
        audience=audience,
        models=tuple(payload["models"]),
        issued_at=datetime.fromtimestamp(payload["iat"], UTC),
        expires_at=datetime.fromtimestamp(payload["exp"], UTC),
        token_id=payload["jti"],
    )
    if found.expires_at <= (now or datetime.now(UTC)):
        raise TokenError(f"expired at {found.expires_at:%Y-%m-%d %H:%M} UTC")
    return found


_CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti", "models")

LATEST_SECOND = 253_402_300_799
"""The last second of the year 9999, the last that Python's calendar has."""


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
