"""What a streamed chat completion consists of. A thought and a call of a tool are tokens as text is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TOKEN_FIELDS = ("content", "reasoning", "reasoning_content", "refusal", "tool_calls", "function_call")
"""Fields of `delta` that hold what a model has written: OpenAI's own, `reasoning` of vLLM since 0.12 and of
OpenRouter, `reasoning_content` of vLLM before it, SGLang and DeepSeek."""

SHOWN_CHARACTERS = 300
"""Of an engine's own words that a message repeats."""

STREAM_FIELDS = (b"data", b"event", b"id", b"retry")


class StreamError(Exception):
    """The stream cannot be used; the text says why, in one line."""


@dataclass
class Progress:
    """How far a stream has been read.

    pieces: events with something that the model has written. first: time.monotonic() of the first of them.
    counted: tokens by the engine's own count, which also has those that nothing shows, such as the marks
    around a thought; None if it sends none. ending: why the model stopped. finished: [DONE] was read.
    """

    pieces: int = 0
    first: float | None = None
    counted: int | None = None
    ending: str | None = None
    finished: bool = False

    @property
    def has_token(self) -> bool:
        return self.first is not None


def read(lines: Iterable[bytes], progress: Progress) -> None:
    """Reads a stream to its [DONE], or to its end.

    Raises StreamError for an error that the engine reports in it, and for what is not OpenAI's format.
    """
    for event in events(lines):
        if event == "[DONE]":
            progress.finished = True
            return
        try:
            _read_event(json.loads(event), progress)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise StreamError(f"the stream is not OpenAI's: {_shown(event)}") from None


def without_token(progress: Progress) -> str:
    """What is said of a stream that has ended without a token."""
    known = [] if progress.ending is None else [f"finish_reason {progress.ending}"]
    known += [] if progress.counted is None else [f"{progress.counted} tokens by the engine's count"]
    return "the stream ended without a token" + (f" ({', '.join(known)})" if known else "")


def events(lines: Iterable[bytes]) -> Iterator[str]:
    """Data of each server-sent event: lines end with LF, CR LF or CR, and those that begin with a colon are
    comments that keep a connection alive (WHATWG HTML, server-sent events).

    Raises StreamError for an answer of another kind, or one that is not UTF-8.
    """
    data: list[bytes] = []
    for line in (part for raw in lines for part in raw.removesuffix(b"\n").removesuffix(b"\r").split(b"\r")):
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif not line:
            if data:
                yield _text(data)
            data = []
        elif name and name not in STREAM_FIELDS:
            raise StreamError(
                f"the answer is not a stream of events: {_shown(line.decode(errors='replace'))}"
            )
    if data:
        yield _text(data)


def _text(data: list[bytes]) -> str:
    whole = b"\n".join(data)
    try:
        return whole.decode().strip()
    except UnicodeDecodeError:
        raise StreamError(
            f"the stream is not OpenAI's: not UTF-8: {_shown(whole.decode(errors='replace'))}"
        ) from None


def _read_event(event: Mapping[str, Any], progress: Progress) -> None:
    error = event if event.get("object") == "error" else event.get("error")
    if error:
        after = f" after {progress.pieces} pieces" if progress.pieces else ""
        raise StreamError(f"the engine reports an error in the stream{after}: {_error(error)}")
    usage = event.get("usage")
    choices = event["choices"] if usage is None else event.get("choices", ())
    for choice in choices:
        delta = choice["delta"]
        if any(delta.get(name) for name in TOKEN_FIELDS):
            progress.pieces += 1
            progress.first = time.monotonic() if progress.first is None else progress.first
        if choice.get("finish_reason") is not None:
            progress.ending = str(choice["finish_reason"])
    if usage is not None:
        progress.counted = int(usage["completion_tokens"])
        if progress.counted > 0 and progress.first is None:
            progress.first = time.monotonic()


def _error(error: object) -> str:
    if isinstance(error, Mapping):
        message = error.get("message")
        code = error.get("code")
        if message:
            return _shown(str(message)) + ("" if code is None else f" (code {_shown(str(code))})")
    return _shown(error if isinstance(error, str) else json.dumps(error))


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + "..."
