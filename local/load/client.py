"""One request, timed as its user sees it: a streamed chat completion, or an answer in one piece."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Literal

import aiohttp
import orjson

from local.load.arrivals import Arrival
from local.load.bodies import PATHS, body
from sizing.models.task import Task

Failure = Literal["refused", "no connection", "cut off", "too slow", "error in stream", "empty", "incomplete"]
"""Why a request failed: an HTTP status, no connection at all, a stream that broke, the time limit, ..."""

_DEFAULT_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of one request. Times in seconds.

    sent: after the start of the run. late: how much later than scheduled, which is the generator's own fault.
    first_token: from the scheduled time, so that a late generator cannot hide a wait; of an answer in one
    piece, all of it. gaps: between the arrivals of consecutive tokens at the client. attempts: 1 if nothing
    was sent again. detail: of a failure.
    """

    arrival: Arrival
    sent: float
    late: float
    first_token: float | None
    total: float
    gaps: tuple[float, ...]
    tokens: int
    attempts: int
    status: int | None
    failure: Failure | None = None
    detail: str = ""

    @property
    def inter_token(self) -> float | None:
        """Mean time between tokens; None where there were fewer than two."""
        return sum(self.gaps) / (self.tokens - 1) if self.tokens > 1 and self.gaps else None

    @property
    def finished(self) -> float:
        """When it ended, after the start of the run."""
        return self.sent + self.total


class _Failed(Exception):
    def __init__(self, failure: Failure, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.failure: Failure = failure
        self.detail = detail
        self.retry_after = retry_after


@dataclass
class _Progress:
    first_token: float | None = None
    last_token: float = 0.0
    tokens: int = 0
    status: int | None = None
    gaps: list[float] | None = None


class Client:
    """Sends requests for one model. `retries` is what the official OpenAI client calls max_retries."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        gateway: str,
        model: str,
        task: Task,
        limit_seconds: float,
        retries: int,
    ) -> None:
        self._session = session
        self._url = f"{gateway}{PATHS[task]}"
        self._model = model
        self._task: Task = task
        self._limit = limit_seconds
        self._retries = retries

    async def send(self, arrival: Arrival, started: float) -> Outcome:
        """The outcome of one request; it never raises. `started`: of the run, on time.monotonic()."""
        sent = time.monotonic()
        progress = _Progress(gaps=[])
        attempts = 0
        failure: _Failed | None = None
        try:
            async with asyncio.timeout(self._limit):
                while True:
                    attempts += 1
                    try:
                        await self._ask(arrival, progress)
                        failure = None
                        break
                    except _Failed as failed:
                        failure = failed
                        if attempts > self._retries or failed.retry_after is None:
                            break
                        await asyncio.sleep(failed.retry_after)
        except TimeoutError:
            failure = _Failed("too slow", f"not finished after {self._limit:g} s")
        due = started + arrival.at
        return Outcome(
            arrival=arrival,
            sent=sent - started,
            late=sent - due,
            first_token=None if progress.first_token is None else progress.first_token - due,
            total=time.monotonic() - sent,
            gaps=tuple(progress.gaps or ()),
            tokens=progress.tokens,
            attempts=attempts,
            status=progress.status,
            failure=None if failure is None else failure.failure,
            detail="" if failure is None else failure.detail,
        )

    async def _ask(self, arrival: Arrival, progress: _Progress) -> None:
        try:
            async with self._session.post(
                self._url,
                data=body(arrival, self._model, self._task),
                headers={"content-type": "application/json"},
            ) as answer:
                progress.status = answer.status
                if answer.status != 200:
                    raise await _refusal(answer)
                if self._task == "generate":
                    await _read_stream(answer, progress)
                else:
                    await _read_whole(answer, progress, arrival.inputs)
        except aiohttp.ClientConnectorError as error:
            raise _Failed("no connection", str(error), _DEFAULT_RETRY_SECONDS) from None
        except aiohttp.ClientError as error:
            # Before the first token nothing was delivered, so a client may send it again.
            again = _DEFAULT_RETRY_SECONDS if progress.first_token is None else None
            raise _Failed("cut off", f"{type(error).__name__}: {error}", again) from None


_TOKEN = re.compile(
    rb'"(?:content|reasoning|reasoning_content|refusal)": ?"[^"]|"(?:tool_calls|function_call)": ?(?:\[ ?)?\{'
)
"""Something that the model has written, be it text, a thought or a call of a tool. A regular expression,
because JSON would cost more than reading. Inside a text each quotation mark is escaped, so none can match."""
_ERROR = re.compile(rb'data: ?\{ ?"(?:error": ?[{"]|object": ?"error")')
_USAGE = re.compile(rb'"usage": ?\{')


async def _read_stream(answer: aiohttp.ClientResponse, progress: _Progress) -> None:
    assert progress.gaps is not None
    done = False
    pieces = 0
    counted: int | None = None
    async for line in answer.content:
        if not line.startswith(b"data:"):
            continue
        if line.startswith((b"data: [DONE]", b"data:[DONE]")):
            done = True
            break
        if _ERROR.match(line):
            raise _Failed("error in stream", line[5:205].decode(errors="replace").strip())
        written = _TOKEN.search(line) is not None
        if _USAGE.search(line):
            counted = orjson.loads(line[5:])["usage"]["completion_tokens"]
        # The opening event carries no token; one that only counts does where a parser held all of them back.
        if written or (counted and progress.first_token is None):
            now = time.monotonic()
            if progress.first_token is None:
                progress.first_token = now
            else:
                progress.gaps.append(now - progress.last_token)
            progress.last_token = now
        pieces += 1 if written else 0
        progress.tokens = pieces if counted is None else counted
    if not done:
        raise _Failed("cut off", f"the stream ended after {progress.tokens} tokens without [DONE]")
    if progress.first_token is None:
        raise _Failed("empty", "the stream held no token")


async def _read_whole(answer: aiohttp.ClientResponse, progress: _Progress, inputs: int) -> None:
    """An answer with one result for each input: `data` of embeddings, `results` of a ranking."""
    content = await answer.read()
    arrived = time.monotonic()
    try:
        found = orjson.loads(content)
        results = len(found["results"] if "results" in found else found["data"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise _Failed("empty", f"the answer held no results: {content[:200]!r}") from None
    if results != inputs:
        raise _Failed("incomplete", f"{results} results for {inputs} inputs")
    progress.first_token = arrived


async def _refusal(answer: aiohttp.ClientResponse) -> _Failed:
    text = (await answer.text())[:300]
    retry_after = answer.headers.get("retry-after")
    again = float(retry_after) if retry_after is not None and retry_after.isdigit() else None
    if again is None and (answer.status in (408, 409, 429) or answer.status >= 500):
        again = _DEFAULT_RETRY_SECONDS
    return _Failed("refused", f"{answer.status} {text}", again)
