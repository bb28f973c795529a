"""Bodies that the requests are made of: a short valid one for each route, to be changed in one place."""

from __future__ import annotations

from collections.abc import Mapping

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
SERVED_NAME = "tiny"

CONTEXT = 2048
"""Longest request in tokens: enough for a few KV blocks, small enough that a request can exceed it."""

HI = [{"role": "user", "content": "Hi"}]
USAGE = {"include_usage": True}


STREAMED_TOKENS = 12
"""Enough that a machine which is busy does not put all of them into one event."""


def chat(**fields: object) -> dict[str, object]:
    """A conversation that gets a few tokens."""
    return {"model": SERVED_NAME, "messages": HI, **_few_tokens(fields), "ignore_eos": True, **fields}


def text(**fields: object) -> dict[str, object]:
    """A prompt that gets a few tokens."""
    return {"model": SERVED_NAME, "prompt": "Hello", **_few_tokens(fields), "ignore_eos": True, **fields}


def _few_tokens(fields: Mapping[str, object]) -> dict[str, object]:
    return {"max_tokens": STREAMED_TOKENS if fields.get("stream") is True else 2}


def pooled(**fields: object) -> dict[str, object]:
    """A request to an engine that embeds or reranks."""
    return {"model": SERVED_NAME, **fields}
