"""The tokens in the access log are those of the engine's `usage`, however an answer is cut into pieces."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.serving.gateway.engine_server import serving
from tests.serving.gateway.gateway_process import JSON, access_log_lines, running

LIMIT = 1 << 20
CLAIM = '"usage":{"prompt_tokens":9999,"completion_tokens":9999}'
"""What a model may write, and a reader of JSON does not take for the engine's word."""


@dataclass(frozen=True)
class Answer:
    """pieces: of the body. prompt, completion: tokens that the log should say."""

    pieces: Sequence[bytes]
    prompt: int | None
    completion: int | None


def logged(answers: Sequence[Answer]) -> list[tuple[int | None, int | None]]:
    """Prompt and completion tokens in the gateway's log, of one request after the other."""
    with tempfile.TemporaryDirectory() as folder, serving() as engine:
        with running(Path(folder), {"chat": [engine.port]}, LIMIT) as gateway:
            connection = http.client.HTTPConnection(gateway.clients, timeout=20)
            for answer in answers:
                engine.pieces = answer.pieces
                connection.request("POST", "/v1/chat/completions", json.dumps({"model": "chat"}), JSON)
                assert connection.getresponse().read() == b"".join(answer.pieces)
            connection.close()
        lines = access_log_lines(Path(folder))
    return [(line["prompt_tokens"], line["completion_tokens"]) for line in lines]


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """As vLLM 0.32 writes it."""
    return {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def compact(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def whole(text: str, prompt: int, completion: int) -> str:
    choices = [{"index": 0, "message": {"role": "assistant", "content": text}}]
    answer = {"id": "1", "choices": choices, "usage": usage(prompt, completion), "kv_transfer_params": None}
    return compact(answer)


def streamed(texts: Sequence[str], prompt: int, completion: int) -> str:
    events = [{"choices": [{"index": 0, "delta": {"content": text}}], "usage": None} for text in texts]
    last = {"choices": [], "usage": usage(prompt, completion)}
    return "".join(f"data: {event}\n\n" for event in [*map(compact, events), compact(last), "[DONE]"])


def pieces(body: str, cuts: Sequence[float]) -> Sequence[bytes]:
    """The body cut at these fractions of its length."""
    data = body.encode()
    places = sorted({0, len(data), *(int(cut * len(data)) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000) | st.just(CLAIM)
COUNTS = st.integers(0, 1_000_000)
CUTS = st.lists(st.floats(0, 1), max_size=12)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    prompt, completion = draw(COUNTS), draw(COUNTS)
    if draw(st.booleans()):
        body = whole(draw(TEXTS), prompt, completion)
    else:
        body = streamed(draw(st.lists(TEXTS, max_size=5)), prompt, completion)
    return Answer(pieces(body, draw(CUTS)), prompt, completion)


# Each example starts a gateway, so a failing one is not made smaller: that would take minutes.
@settings(max_examples=3, phases=[Phase.generate])
@given(st.lists(answers(), min_size=20, max_size=60))
def test_the_engines_own_count_is_logged(sent: Sequence[Answer]):
    assert logged(sent) == [(answer.prompt, answer.completion) for answer in sent]


def test_what_is_not_known_is_null():
    embedded = {"data": [{"embedding": [0.5] * 1000}], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    ranked = {"id": "1", "usage": {"prompt_tokens": 8, "total_tokens": 8}, "results": [{"index": 0}] * 500}
    events = f"data: {compact({'choices': [{'delta': {'content': CLAIM}}]})}\n\n" * 3
    sent = [
        Answer([compact(embedded).encode()], 7, None),
        Answer([compact(ranked).encode()], 8, None),
        Answer([(events + "data: [DONE]\n\n").encode()], None, None),
        Answer([b"{}"], None, None),
    ]
    assert logged(sent) == [(answer.prompt, answer.completion) for answer in sent]
