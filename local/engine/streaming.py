"""Sends a streamed reply: one event for what is new in a choice, as soon as the engine has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local.engine.answers import DONE, Answer, ChatAnswer, Head, choice_usage, event, thoughts, usage
from local.engine.deltas import delta
from local.engine.errors import ApiError, engine_dead
from local.engine.generation import choice_text
from local.engine.request import Choice, Request


@dataclass(frozen=True)
class Stream:
    """How a reply is streamed.

    echoes: text before each choice's own; echoed_tokens: its tokens, for the first event of each;
    usage_at_end and usage_always: the caller's stream_options; thinks: whether thoughts are counted;
    interval: tokens that an event waits for.
    """

    head: Head
    answer: Answer
    echoes: list[str]
    echoed_tokens: list[list[int]] | None
    keep_stop: bool
    usage_at_end: bool
    usage_always: bool
    prompt_details: bool
    thinks: bool
    interval: int


async def events(stream: Stream, request: Request, enter: Callable[[], None]) -> AsyncIterator[bytes]:
    """The events of a reply, several choices interleaved, ending with [DONE].

    enter: adds the request to the engine. What is refused only then is told in an event, as in vLLM: the
    response, with status 200, has begun.
    """
    try:
        enter()
    except ApiError as error:
        yield error.event()
        yield DONE
        return
    sent = [0] * len(request.choices)
    open_choices = set(range(len(request.choices)))
    opened = False
    while open_choices:
        await request.advanced.wait()
        request.advanced.clear()
        if request.failed:
            yield engine_dead().event()
            break
        if not opened:
            opened = True
            for index in range(len(request.choices)):
                opening = stream.answer.opening(stream.head, index)
                if opening is not None:
                    yield _event(stream, request.choices[index], 0, opening)
        for index in sorted(open_choices):
            choice = request.choices[index]
            start, end = sent[index], choice.sequence.generated
            ended = choice if choice.finished else None
            if ended is None and (end == start or (start and end - start < stream.interval)):
                continue
            if choice.parts is not None:
                shown = delta(choice, choice.parts, start, end, stream.keep_stop)
                sent[index] = end
                if not shown and ended is None:
                    continue
                chunk = ChatAnswer.part(stream.head, index, shown, ended)
            else:
                text = choice_text(choice, start, end, stream.keep_stop)
                if not start:
                    text = stream.echoes[index] + text
                chunk = stream.answer.chunk(stream.head, index, text, ended)
            if not start and stream.echoed_tokens is not None:
                chunk["choices"][0]["prompt_token_ids"] = stream.echoed_tokens[index]
            if ended is not None:
                open_choices.discard(index)
                if not stream.usage_at_end:
                    chunk["system_fingerprint"] = stream.head.fingerprint
            sent[index] = end
            yield _event(stream, choice, end, chunk)
    if stream.usage_at_end and not request.failed:
        counts = usage(request, stream.prompt_details)
        if stream.thinks:
            counts["completion_tokens_details"] = thoughts(request.choices)
        yield event(stream.answer.closing(stream.head, counts))
    yield DONE


def _event(stream: Stream, choice: Choice, generated: int, body: dict[str, Any]) -> bytes:
    if stream.usage_always:
        counts = choice_usage(choice, generated)
        if stream.answer is ChatAnswer:
            counts["completion_tokens_details"] = thoughts([choice]) if stream.thinks else None
        behind = {name: body.pop(name) for name in ("prompt_token_ids", "prompt_text") if name in body}
        body |= {"usage": counts, **behind}
    return event(body)


class EventStream(Response):
    """Server-sent events that end when the reply does or the caller leaves, whichever is first."""

    def __init__(
        self, body: AsyncIterator[bytes], on_leave: Callable[[], None], headers: dict[str, str]
    ) -> None:
        super().__init__(headers={**headers, "content-type": "text/event-stream; charset=utf-8"})
        del self.headers["content-length"]
        self._events = body
        self._on_leave = on_leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        writer = asyncio.ensure_future(self._write(send))
        left = asyncio.ensure_future(caller_left(receive))
        try:
            await asyncio.wait((writer, left), return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                await writer
        finally:
            self._on_leave()
            for task in (writer, left):
                task.cancel()

    async def _write(self, send: Send) -> None:
        async for chunk in self._events:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def caller_left(receive: Receive) -> None:
    """Returns when the caller has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
