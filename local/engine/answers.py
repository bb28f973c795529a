"""Answers in vLLM's shape: whole replies, and the events of streamed ones."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from local.engine.deltas import streamed_reason, whole_reason
from local.engine.parts import Parts
from local.engine.request import Choice, Request

Replies = Sequence[Mapping[str, Any]]
"""Of each choice `content`, and of a conversation's perhaps `reasoning` and `tool_calls`."""

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Head:
    """What every answer to a request repeats. `chat` decides between the two shapes of the API."""

    model: str
    identity: str
    fingerprint: str
    role: str = "assistant"
    created: int = field(default_factory=lambda: int(time.time()))

    def fields(self, kind: str) -> dict[str, Any]:
        return {"id": self.identity, "object": kind, "created": self.created, "model": self.model}


def new_identity() -> str:
    """vLLM's ids are 16 hexadecimal digits."""
    return uuid.uuid4().hex[:16]


def usage(request: Request, details: bool) -> dict[str, Any]:
    """Tokens of the whole request so far. A prompt counts once, however many choices it has."""
    sequences = [choice.sequence for choice in request.choices]
    each = len(sequences) // request.prompts
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


def choice_usage(choice: Choice, generated: int) -> dict[str, Any]:
    """Tokens of one choice and its prompt: what an event in the middle of a stream tells."""
    prompt = choice.sequence.prompt_tokens
    return {"prompt_tokens": prompt, "total_tokens": prompt + generated, "completion_tokens": generated}


def thoughts(choices: Iterable[Choice]) -> dict[str, int]:
    """completion_tokens_details: how many of the tokens so far were reasoning."""
    counted = (
        min(choice.sequence.generated, choice.parts.thoughts)
        for choice in choices
        if choice.parts is not None
    )
    return {"reasoning_tokens": sum(counted)}


def whole_usage(request: Request, details: bool, thinks: bool) -> dict[str, Any]:
    counts = usage(request, details)
    details_or_none = counts.get("prompt_tokens_details")
    return {
        **counts,
        "prompt_tokens_details": details_or_none,
        "completion_tokens_details": thoughts(request.choices) if thinks else None,
    }


def finish_reason(choice: Choice, of_parts: Callable[[Choice, Parts], str] | None = None) -> str:
    if choice.aborted:
        return "abort"
    return choice.reason if of_parts is None or choice.parts is None else of_parts(choice, choice.parts)


def stop_reason(choice: Choice) -> str | None:
    return None if choice.stop is None or choice.aborted else choice.stop.stop


def event(body: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


class ChatAnswer:
    """Answers of /v1/chat/completions."""

    prefix = "chatcmpl"

    @staticmethod
    def whole(head: Head, replies: Replies, request: Request, counts: dict[str, Any]) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "message": {
                    "role": head.role,
                    "content": reply["content"],
                    "refusal": None,
                    "annotations": None,
                    "audio": None,
                    "function_call": None,
                    **({"tool_calls": reply["tool_calls"]} if "tool_calls" in reply else {}),
                    "reasoning": reply.get("reasoning"),
                },
                "logprobs": None,
                "finish_reason": finish_reason(choice, whole_reason),
                "stop_reason": stop_reason(choice),
                "token_ids": None,
                "routed_experts": None,
            }
            for index, (reply, choice) in enumerate(zip(replies, request.choices, strict=True))
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
        delta = {"role": head.role, "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        fields = head.fields("chat.completion.chunk")
        return {**fields, "choices": [choice], "prompt_token_ids": None, "prompt_text": None}

    @staticmethod
    def chunk(head: Head, index: int, text: str, ended: Choice | None) -> dict[str, Any]:
        return ChatAnswer.part(head, index, {"content": text}, ended)

    @staticmethod
    def part(head: Head, index: int, delta: dict[str, Any], ended: Choice | None) -> dict[str, Any]:
        """A chunk that may hold thoughts or a call, too."""
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        if ended is not None:
            reason = finish_reason(ended, streamed_reason)
            choice |= {"finish_reason": reason, "stop_reason": stop_reason(ended)}
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
    def whole(head: Head, replies: Replies, request: Request, counts: dict[str, Any]) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "text": reply["content"],
                "logprobs": None,
                "finish_reason": finish_reason(choice),
                "stop_reason": stop_reason(choice),
                "token_ids": None,
                "prompt_logprobs": None,
                "prompt_token_ids": None,
                "routed_experts": None,
            }
            for index, (reply, choice) in enumerate(zip(replies, request.choices, strict=True))
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
