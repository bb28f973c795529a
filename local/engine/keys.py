"""--api-key: guards only what vLLM guards with it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from local.engine.errors import json_response

GUARDED = ("/v1", "/v2", "/inference", "/cohere")
"""Path prefixes that need a key. /metrics, /tokenize, /invocations and others stay open."""


class RequireKey:
    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = (
            scope["type"] == "http" and scope["method"] != "OPTIONS" and scope["path"].startswith(GUARDED)
        )
        if guarded and not self._known(Headers(scope=scope).get("authorization", "")):
            await json_response({"error": "Unauthorized"}, 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _known(self, header: str) -> bool:
        scheme, _, key = header.partition(" ")
        digest = hashlib.sha256(key.encode()).digest()
        matches = [secrets.compare_digest(digest, known) for known in self._digests]
        return scheme.lower() == "bearer" and any(matches)
