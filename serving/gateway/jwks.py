"""The public keys of those who may sign tokens, as the JWKS document that the gateway reads (RFC 7517)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

MAX_KEYS = 2
"""The key that signs, and the one before it or the one to come. More would be keys that nobody remembers."""

_COORDINATE_BYTES = 32
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PRIVATE_MEMBERS = ("d", "k", "p", "q", "dp", "dq", "qi", "oth")
"""Members of a JWK that hold a secret (RFC 7518, section 6)."""


class JwksError(ValueError):
    """A document that the gateway must not get; one line says what is wrong with it."""


@dataclass(frozen=True)
class PublicKey:
    """A public key on P-256: the name that tokens give it, and its point, 32 bytes in base64url each."""

    kid: str
    x: str
    y: str

    @classmethod
    def of(cls, x: str, y: str) -> PublicKey:
        """The key with this point, named by its thumbprint (RFC 7638)."""
        return cls(thumbprint(x, y), x, y)

    def jwk(self) -> dict[str, str]:
        """The key as JSON Web Key."""
        return {
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "use": "sig",
            "kid": self.kid,
            "x": self.x,
            "y": self.y,
        }

    def key(self) -> ec.EllipticCurvePublicKey:
        """The key for checking signatures. Raises ValueError if its point is not on the curve."""
        numbers = ec.EllipticCurvePublicNumbers(_number(self.x), _number(self.y), ec.SECP256R1())
        return numbers.public_key()


def thumbprint(x: str, y: str) -> str:
    """RFC 7638: SHA-256 of the members that make the key, sorted, without spaces; 43 characters."""
    members = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def coordinate(value: int) -> str:
    """A coordinate as a JWK has it: 32 bytes, leading zeros included (RFC 7518, section 6.2.1.2)."""
    return base64.urlsafe_b64encode(value.to_bytes(_COORDINATE_BYTES, "big")).rstrip(b"=").decode()


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(f"{text}="), "big")


def write_jwks(keys: Sequence[PublicKey]) -> str:
    """The document with these keys, oldest first, laid out so that a review shows one key a block."""
    return json.dumps({"keys": [key.jwk() for key in keys]}, indent=2) + "\n"


def read_jwks(text: str) -> tuple[PublicKey, ...]:
    """The keys of a document, oldest first. Raises JwksError; the message holds nothing of a key."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise JwksError(f"not JSON: {error}") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise JwksError('not a JWKS: must be {"keys": [...]}')
    if not 1 <= len(entries) <= MAX_KEYS:
        raise JwksError(
            f"{len(entries)} keys: must be one, or two while a key is being replaced; take out those that "
            "sign no more"
        )
    keys = tuple(_public_key(entry, index) for index, entry in enumerate(entries))
    if len({key.kid for key in keys}) < len(keys):
        raise JwksError("keys[1].kid: the same as of keys[0]: nobody could say which of them checks a token")
    return keys


def _public_key(entry: Any, index: int) -> PublicKey:
    place = f"keys[{index}]"
    if not isinstance(entry, dict):
        raise JwksError(f"{place}: must be a JSON Web Key, an object")
    private = [member for member in _PRIVATE_MEMBERS if member in entry]
    if private:
        raise JwksError(
            f"{place}.{private[0]}: a private key, or a part of one, which must never be here: whoever has "
            "read this file can sign tokens. Take the whole key out and make another"
        )
    for member, wanted in (("kty", "EC"), ("crv", "P-256")):
        if entry.get(member) != wanted:
            raise JwksError(f"{place}.{member}: must be {wanted!r}: tokens are signed with ES256")
    for member, wanted in (("alg", "ES256"), ("use", "sig")):
        if entry.get(member, wanted) != wanted:
            raise JwksError(f"{place}.{member}: must be {wanted!r}, or left out")
    kid = entry.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise JwksError(f"{place}.kid: must be 1 to 64 letters, digits, - and _; tokens name their key by it")
    key = PublicKey(kid, _coordinate(entry, "x", place), _coordinate(entry, "y", place))
    try:
        key.key()
    except ValueError:
        raise JwksError(f"{place}: its x and y are no point on the curve P-256") from None
    return key


def _coordinate(entry: dict[str, Any], member: str, place: str) -> str:
    text = entry.get(member)
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", text):
        raise JwksError(f"{place}.{member}: must be 32 bytes in base64url, 43 characters without padding")
    return text
