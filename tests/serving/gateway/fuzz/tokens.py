"""Tokens right and wrong in known ways, and what each of them opens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from serving.gateway.jwks import write_jwks
from serving.gateway.tokens import EVERY_MODEL, SigningKey, claims, mint, new_key, sign

AUDIENCE = "fuzz"
REVOKED = "revoked-token"
KNOWN = ("chat", "chat-large", "embedder", "reranker", "adapter-1")


class Tokens:
    """Tokens of one key. rights: what each Authorization header may ask for; others open nothing."""

    def __init__(self) -> None:
        self.key = new_key()
        self.jwks = write_jwks([self.key.public])
        self.rights: Mapping[str, frozenset[str]] = {
            f"Bearer {self._minted(*models)}": frozenset(models)
            for models in ((EVERY_MODEL,), ("chat",), ("embedder", "reranker"), ("adapter-1",))
        }
        self.refused = tuple(self._wrong(self.key))

    def header(self, model: str) -> str:
        """An Authorization header that opens this right and no other."""
        return next(header for header, models in self.rights.items() if models == {model})

    def authorizations(self) -> st.SearchStrategy[str | None]:
        """Mostly good ones; none, garbage, and tokens that must be refused among them."""
        good = st.sampled_from(list(self.rights))
        return st.one_of(good, good, good, st.sampled_from([None, *self.refused]))

    def _minted(self, *models: str) -> str:
        return mint(self.key, claims("search", AUDIENCE, models, KNOWN, timedelta(days=1)))

    def _payload(self, **changes: Any) -> dict[str, Any]:
        payload = claims("search", AUDIENCE, (EVERY_MODEL,), KNOWN, timedelta(days=1)).payload()
        return {key: value for key, value in {**payload, **changes}.items() if value is not None}

    def _wrong(self, key: SigningKey):
        now = int(datetime.now(UTC).timestamp())
        yield from ("", "Bearer", "Bearer ", "Bearer x.y.z", "Basic dXNlcjpwYXNz", "Bearer null")
        for changes in (
            {"exp": now - 3600, "iat": now - 7200},
            {"exp": None},
            {"exp": now + 365 * 86400},
            {"exp": str(now + 3600)},
            {"aud": "other"},
            {"aud": None},
            {"iss": "somebody"},
            {"iss": None},
            {"sub": None},
            {"sub": ""},
            {"jti": None},
            {"jti": REVOKED},
            {"models": None},
            {"models": "*"},
            {"models": "chat"},
            {"models": []},
            {"models": {"*": True}},
            {"models": [["*"]]},
            {"models": [None]},
            {"models": ["cha", "ch*", "**", "CHAT", "chat "]},
        ):
            yield f"Bearer {sign(key, self._payload(**changes))}"
        yield f"Bearer {sign(new_key(), self._payload())}"
        good = sign(key, self._payload())
        header, body, signature = good.split(".")
        none = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
        yield f"Bearer {none}.{body}."
        yield f"Bearer {header}.{body}.{signature[:-4]}AAAA"
        yield f"Bearer {header}.{body}"
        yield f"Bearer {good}.x"
