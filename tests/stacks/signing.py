"""A key for tests that is the same on every machine, so that what is rendered with it can be compared."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from serving.gateway.jwks import write_jwks
from serving.gateway.tokens import SigningKey

KEY = SigningKey(ec.derive_private_key(20261124, ec.SECP256R1()))
"""Everybody knows it: it opens nothing but what a test starts."""


def write_keys(folder: Path) -> Path:
    """Puts both halves of KEY into `folder` and returns the path of the JWKS."""
    folder.mkdir(parents=True, exist_ok=True)
    private = folder / f"{KEY.kid}.pem"
    private.touch(mode=0o600)
    private.write_bytes(KEY.pem())
    jwks = folder / "jwks.json"
    jwks.write_text(write_jwks([KEY.public]), encoding="utf-8")
    return jwks
