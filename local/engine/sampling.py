"""The values of a request for generation, checked as vLLM 0.32.0 checks its SamplingParams, in its order.

check_sampling runs before the response begins. check_vocabulary runs when the request is added to the engine,
so a stream that fails it has begun with status 200.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from local.engine.errors import bad_request, bad_value
from local.engine.protocol import GenerationRequest

GREEDY = 1e-5
"""Temperatures below are greedy: vLLM's _SAMPLING_EPS."""


def check_sampling(asked: GenerationRequest, limit: int, max_choices: int) -> None:
    """Raises ApiError. limit: the length that the reply may have at most."""
    _logit_bias_keys(asked)
    if asked.choices < 1:
        raise bad_request(f"n must be at least 1, got {asked.choices}.")
    if asked.choices > max_choices:
        raise bad_request(
            f"n must be at most {max_choices}, got {asked.choices}. To increase this limit, set the "
            "VLLM_MAX_N_SEQUENCES environment variable."
        )
    for name in ("presence_penalty", "frequency_penalty"):
        value = getattr(asked, name)
        if value is not None and not -2 <= value <= 2:
            raise bad_request(f"{name} must be in [-2, 2], got {value}.")
    _repetition_penalty(asked.repetition_penalty)
    _temperature(asked.temperature)
    if asked.top_p is not None and not 0 < asked.top_p <= 1:
        raise bad_value(f"top_p must be in (0, 1], got {asked.top_p}.", "top_p", asked.top_p)
    if asked.top_k is not None and asked.top_k < -1:
        raise bad_request(f"top_k must be 0 (disable), or at least 1, got {asked.top_k}.")
    if asked.min_p is not None and not 0 <= asked.min_p <= 1:
        raise bad_request(f"min_p must be in [0, 1], got {asked.min_p}.")
    if limit < 1:
        raise bad_value(f"max_tokens must be at least 1, got {limit}.", "max_tokens", limit)
    if asked.min_tokens < 0:
        raise bad_request(f"min_tokens must be greater than or equal to 0, got {asked.min_tokens}.")
    if asked.min_tokens > limit:
        raise bad_request(
            f"min_tokens must be less than or equal to max_tokens={limit}, got {asked.min_tokens}."
        )
    if any(not stop for stop in asked.stops):
        raise bad_request("stop cannot contain an empty string.")
    if any(not word for word in asked.bad_words):
        words = list(dict.fromkeys(asked.bad_words))
        raise bad_request(f"bad_words cannot contain an empty string. Got bad_words={words}")
    if asked.temperature is not None and asked.temperature < GREEDY and asked.choices > 1:
        raise bad_request(f"n must be 1 when using greedy sampling, got {asked.choices}.")


def _logit_bias_keys(asked: GenerationRequest) -> None:
    wrong = [key for key in asked.logit_bias or () if not _is_whole(key)]
    if wrong:
        message = f"logit_bias contains key(s) that cannot be converted to integer token IDs: {wrong!r}"
        raise bad_value(message, "logit_bias", wrong)


def _is_whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _repetition_penalty(value: float | None) -> None:
    if value is None:
        return
    if not math.isfinite(value):
        raise bad_request(f"repetition_penalty must be a finite number, got {value}.")
    if value <= 0:
        raise bad_request(f"repetition_penalty must be greater than zero, got {value}.")


def _temperature(value: float | None) -> None:
    if value is None:
        return
    wrong = (
        "must be a finite number" if not math.isfinite(value)
        else "must be non-negative" if value < 0
        else "must be in [0, 2]" if value > 2
        else None
    )  # fmt: skip
    if wrong is not None:
        raise bad_value(f"temperature {wrong}, got {value}.", "temperature", value)


def check_vocabulary(asked: GenerationRequest, vocabulary: int, thinks: bool) -> None:
    """Raises ApiError on token ids that the model does not have, and on a budget for thoughts of a server
    without a reasoning parser."""
    if asked.logit_bias:
        _in_vocabulary("logit_bias", (int(key) for key in asked.logit_bias), vocabulary)
    if asked.stop_token_ids:
        _in_vocabulary("stop_token_ids", dict.fromkeys(asked.stop_token_ids), vocabulary)
    allowed = asked.allowed_token_ids
    if allowed is not None:
        if not allowed:
            raise bad_value("allowed_token_ids is not None and empty!", "allowed_token_ids", allowed)
        if _outside(allowed, vocabulary):
            raise bad_value(
                "allowed_token_ids contains out-of-vocab token id!",
                "allowed_token_ids",
                _outside(allowed, vocabulary),
            )
    if asked.thinking_token_budget is not None and not thinks:
        raise bad_request(
            "thinking_token_budget is set but reasoning_config is not configured. Please set "
            "--reasoning-parser and/or --reasoning-config to use thinking_token_budget."
        )


def _in_vocabulary(name: str, ids: Iterable[int], vocabulary: int) -> None:
    wrong = _outside(ids, vocabulary)
    if wrong:
        raise bad_value(
            f"token_id(s) {wrong} in {name} contain out-of-vocab token ids. Vocabulary size: {vocabulary}",
            name,
            wrong,
        )


def _outside(ids: Iterable[int], vocabulary: int) -> list[int]:
    return [each for each in ids if not 0 <= each < vocabulary]
