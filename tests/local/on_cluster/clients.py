"""Users of the gateway while a test changes something: the official client, streaming, without retries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
from openai import AsyncOpenAI, OpenAIError

TOKENS = 120
"""Length of each reply: some seconds on an imitated L4, so that every change meets streams in flight."""


@dataclass
class Traffic:
    """What the users saw: requests that ended as they should, one line for each that did not, and how many
    are in flight now."""

    finished: int = 0
    failures: list[str] = field(default_factory=list)
    in_flight: int = 0


@contextmanager
def traffic(url: str, model: str, users: int) -> Iterator[Traffic]:
    """So many users, each sending the next request as soon as the last is answered. Ends with the streams
    that are in flight then, so that every request that was sent has its result."""
    seen = Traffic()
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_all(url, model, users, seen, stop)))
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


async def _all(url: str, model: str, users: int, seen: Traffic, stop: threading.Event) -> None:
    from local.token import token

    # One pool of kept-alive connections for each user, and no retries: whatever fails is seen.
    clients = [AsyncOpenAI(base_url=f"{url}/v1", api_key=token(), max_retries=0) for _ in range(users)]
    try:
        await asyncio.gather(
            *(_one(client, model, number, seen, stop) for number, client in enumerate(clients))
        )
    finally:
        for client in clients:
            await client.close()


async def _one(client: AsyncOpenAI, model: str, user: int, seen: Traffic, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        seen.in_flight += 1
        try:
            # Every fourth reply is not streamed: nothing of it arrives before its end.
            if number % 4:
                pieces, reason = await _stream(client, model, f"{user} {number}")
            else:
                pieces, reason = await _whole(client, model, f"{user} {number}")
        except (OpenAIError, httpx2.HTTPError) as error:
            seen.failures.append(f"user {user}, request {number}: {error!r}")
            await asyncio.sleep(0.2)
        else:
            if (pieces, reason) == (TOKENS, "length"):
                seen.finished += 1
            else:
                seen.failures.append(f"user {user}, request {number}: {pieces} tokens, ended by {reason}")
        finally:
            seen.in_flight -= 1


async def _stream(client: AsyncOpenAI, model: str, text: str) -> tuple[int, str | None]:
    stream = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text}],
        max_tokens=TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    )
    tokens, reason = 0, None
    async for chunk in stream:
        if chunk.usage is not None:
            tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
    return tokens, reason


async def _whole(client: AsyncOpenAI, model: str, text: str) -> tuple[int, str | None]:
    answer = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], max_tokens=TOKENS
    )
    assert answer.usage is not None
    return answer.usage.completion_tokens, answer.choices[0].finish_reason
