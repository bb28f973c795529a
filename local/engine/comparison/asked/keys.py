"""Which paths an API key guards, and what is said without one."""

from __future__ import annotations

from local.engine.comparison.asked.bodies import CHAT, SERVED_NAME, TEXT, chat, text
from local.engine.comparison.exchanges import Compared, Exchange

KEY = "secret"
JSON = {"content-type": "application/json"}


def _authorized(value: str) -> dict[str, str]:
    return {**JSON, "authorization": value}


KEYS = (
    Exchange("chat without a key", CHAT, chat()),
    Exchange("chat with the key", CHAT, chat(), headers=_authorized(f"Bearer {KEY}")),
    Exchange("chat with another key", CHAT, chat(), headers=_authorized("Bearer other")),
    Exchange("chat with the key in small letters", CHAT, chat(), headers=_authorized(f"bearer {KEY}")),
    Exchange("chat with the key alone", CHAT, chat(), headers=_authorized(KEY)),
    Exchange("chat with the key by another scheme", CHAT, chat(), headers=_authorized(f"Basic {KEY}")),
    Exchange("chat with the key of Azure", CHAT, chat(), headers={**JSON, "api-key": KEY}),
    Exchange("chat with a wrong body and no key", CHAT, "{bad json"),
    Exchange("completion without a key", TEXT, text()),
    Exchange("models without a key", "/v1/models", method="GET"),
    Exchange("models by OPTIONS without a key", "/v1/models", method="OPTIONS"),
    Exchange("unknown path under /v1 without a key", "/v1/nope", method="GET"),
    Exchange("unknown path without a key", "/nope", method="GET"),
    Exchange("health without a key", "/health", method="GET"),
    Exchange("version without a key", "/version", method="GET", compared=Compared.HEAD),
    Exchange("metrics without a key", "/metrics", method="GET", compared=Compared.HEAD),
    Exchange("load without a key", "/load", method="GET"),
    Exchange("ping without a key", "/ping", method="GET"),
    Exchange("tokenize without a key", "/tokenize", {"model": SERVED_NAME, "prompt": "a"}),
    Exchange("invocation without a key", "/invocations", text()),
)
