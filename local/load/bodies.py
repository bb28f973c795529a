"""What a request of each task says, with text of the wanted length that no other request shares."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from local.load.arrivals import Arrival
from sizing.models.task import Task

PATHS: Mapping[Task, str] = {
    "generate": "/v1/chat/completions",
    "embed": "/v1/embeddings",
    "rerank": "/v1/rerank",
}

_WORDS = ("alpha ", "bravo ", "delta ", "gamma ", "kappa ", "omega ", "sigma ", "theta ")
_BYTES_PER_TOKEN = 4
"""Of English text with the vocabularies of Llama 3 and Qwen 3; the emulator counts so, too."""


def texts(arrival: Arrival) -> list[str]:
    """Filler of the wanted length, one for each input. No two begin alike: no prefix cache can help."""
    first = arrival.number * arrival.inputs
    return [_filler(first + index, arrival.prompt_tokens) for index in range(arrival.inputs)]


def _filler(number: int, tokens: int) -> str:
    words = tokens * _BYTES_PER_TOKEN // len(_WORDS[0])
    mixed = (number * 2654435761) & 0xFFFFFFFF
    start = f"{mixed:08x} "
    return start + "".join(_WORDS[(mixed >> (index % 29)) & 7] for index in range(words))


def body(arrival: Arrival, model: str, task: Task) -> bytes:
    """The request for PATHS[task]."""
    return orjson.dumps({"model": model, **_asked(arrival, task)})


def _asked(arrival: Arrival, task: Task) -> dict[str, object]:
    if task == "embed":
        # As the official client asks: a fifth of the bytes of a list of numbers, and no JSON to read.
        return {"input": texts(arrival), "encoding_format": "base64"}
    if task == "rerank":
        return {"query": _WORDS[0], "documents": texts(arrival)}
    (text,) = texts(arrival)
    return {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": arrival.output_tokens,
        # Otherwise a real engine would stop where it likes, and no two runs were the same load.
        "ignore_eos": True,
        "messages": [{"role": "user", "content": text}],
    }
