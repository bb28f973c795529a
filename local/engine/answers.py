"""Answers in vLLM's shape: whole replies, and the events of streamed ones."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson

from local.engine.request import Choice, Request

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Head:
    """What every answer to a request repeats. `chat` decides between the two shapes of the API."""

    model: str
    identity: str
    fingerprint: str
    created: int = field(default_factory=lambda: int(time.time()))

    def fields(self, kind: str) -> dict[str, Any]:
        return {"id": self.identity, "object": kind, "created": self.created, "model": self.model}


def new_identity() -> str:
    """vLLM's ids are 16 hexadecimal digits."""
    return uuid.uuid4().hex[:16]


def usage(request: Request, prompts: int, details: bool) -> dict[str, Any]:
    """Tokens of the whole request so far. A prompt counts once, however many choices it has."""
    sequences = [choice.sequence for choice in request.choices]
    each = len(sequences) // prompts
    prompt_tokens = sum(sequence.prompt_tokens for sequence in sequences[::each])
    generated = sum(sequence.generated for sequence in sequences)
    counts: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + generated,
        "completion_tokens": generated,
    }
    if details:
        counts["prompt_tokens_details"] = {"cached_tokens": sequences[0].cached}
    return counts


def whole_usage(request: Request, prompts: int, details: bool) -> dict[str, Any]:
    counts = usage(request, prompts, details)
    details_or_none = counts.get("prompt_tokens_details")
    return {**counts, "prompt_tokens_details": details_or_none, "completion_tokens_details": None}


def finish_reason(choice: Choice) -> str:
    return "abort" if choice.aborted else choice.reason


def stop_reason(choice: Choice) -> str | None:
    return None if choice.stop is None or choice.aborted else choice.stop.stop


def event(body: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


class ChatAnswer:
    """Answers of /v1/chat/completions."""

    prefix = "chatcmpl"

    @staticmethod
    def whole(head: Head, texts: list[str], request: Request, counts: dict[str, Any]) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": None,
                    "annotations": None,
                    "audio": None,
                    "function_call": None,
                    "reasoning": None,
                },
                "logprobs": None,
                "finish_reason": finish_reason(choice),
                "stop_reason": stop_reason(choice),
                "token_ids": None,
                "routed_experts": None,
            }
            for index, (text, choice) in enumerate(zip(texts, request.choices, strict=True))
        ]
        return {
            **head.fields("chat.completion"),
            "choices": choices,
            "service_tier": None,
            "system_fingerprint": head.fingerprint,
            "usage": counts,
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "prompt_text": None,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }

    @staticmethod
    def opening(head: Head, index: int) -> dict[str, Any] | None:
        """The event before a choice's first token: its role."""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        fields = head.fields("chat.completion.chunk")
        return {**fields, "choices": [choice], "prompt_token_ids": None, "prompt_text": None}

    @staticmethod
    def chunk(head: Head, index: int, text: str, ended: Choice | None) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": {"content": text}, "logprobs": None}
        choice["finish_reason"] = None
        if ended is not None:
            choice |= {"finish_reason": finish_reason(ended), "stop_reason": stop_reason(ended)}
        choice["token_ids"] = None
        return {**head.fields("chat.completion.chunk"), "choices": [choice]}

    @staticmethod
    def closing(head: Head, counts: dict[str, Any]) -> dict[str, Any]:
        """The event with the usage of the whole request."""
        fields = head.fields("chat.completion.chunk")
        return {**fields, "choices": [], "usage": counts, "system_fingerprint": head.fingerprint}


class TextAnswer:
    """Answers of /v1/completions."""

    prefix = "cmpl"

    @staticmethod
    def whole(head: Head, texts: list[str], request: Request, counts: dict[str, Any]) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "text": text,
                "logprobs": None,
                "finish_reason": finish_reason(choice),
                "stop_reason": stop_reason(choice),
                "token_ids": None,
                "prompt_logprobs": None,
                "prompt_token_ids": None,
                "routed_experts": None,
            }
            for index, (text, choice) in enumerate(zip(texts, request.choices, strict=True))
        ]
        return {
            **head.fields("text_completion"),
            "choices": choices,
            "service_tier": None,
            "system_fingerprint": head.fingerprint,
            "usage": counts,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "metrics": None,
        }

    @staticmethod
    def opening(head: Head, index: int) -> dict[str, Any] | None:
        """Completions have no event before the first token."""
        return None

    @staticmethod
    def chunk(head: Head, index: int, text: str, ended: Choice | None) -> dict[str, Any]:
        choice = {
            "index": index,
            "text": text,
            "logprobs": None,
            "finish_reason": None if ended is None else finish_reason(ended),
            "stop_reason": None if ended is None else stop_reason(ended),
            "prompt_token_ids": None,
            "token_ids": None,
        }
        return {**head.fields("text_completion"), "choices": [choice]}

    @staticmethod
    def closing(head: Head, counts: dict[str, Any]) -> dict[str, Any]:
        fields = head.fields("text_completion")
        return {**fields, "choices": [], "usage": counts, "system_fingerprint": head.fingerprint}


Answer = type[ChatAnswer] | type[TextAnswer]
