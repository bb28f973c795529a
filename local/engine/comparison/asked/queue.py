"""A full queue: requests that exceed its bound by themselves, and too many requests at once.

The engine of these requests runs 4 sequences and takes 6 requests in all, waiting ones included.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx

from local.engine.comparison.asked.bodies import CHAT, TEXT, chat, text
from local.engine.comparison.exchanges import EITHER, JSON_TYPE, Exchange, Shape, described, described_event
from local.engine.comparison.servers import RunningServer, page

RUNNING = 4
BOUND = 6
FLAGS = ("--max-num-seqs", str(RUNNING), "--max-num-queued-reqs", str(BOUND))
AT_ONCE = 10
LONG = 1900
"""Tokens of a reply that is still being made when its client leaves."""

HOLD_SECONDS = 1.5
"""How long each of ten clients stays: longer than it takes until the last of them is told."""

SECONDS = 120
SERVED = "served"
REFUSED_TOGETHER = "refused of ten at once: "
"""Beginning of the names of refusals that are a matter of chance: requests that arrive together pass vLLM's
first look at the queue together, or do not."""

ALONE = (
    Exchange("n at the bound", CHAT, chat(n=BOUND)),
    Exchange("n over the bound", CHAT, chat(n=BOUND + 1)),
    Exchange("n over the bound streamed", CHAT, chat(n=BOUND + 1, stream=True)),
    Exchange("n over the bound with temperature zero", CHAT, chat(n=BOUND + 1, temperature=0)),
    Exchange("n over the bound with a wrong field", CHAT, chat(n=BOUND + 1, top_p=2)),
    Exchange("n over the bound and over the most", CHAT, chat(n=20000)),
    Exchange("n over the bound by an unknown model", CHAT, chat(n=BOUND + 1, model="nope")),
    Exchange("n over the bound and a prompt over the context", TEXT, text(n=BOUND + 1, prompt=[7] * 3000)),
    Exchange("n zero with a bound", CHAT, chat(n=0)),
    Exchange("prompts at the bound", TEXT, text(prompt=["a"] * BOUND)),
    Exchange("prompts over the bound", TEXT, text(prompt=["a"] * (BOUND + 1))),
    Exchange("prompts over the bound streamed", TEXT, text(prompt=["a"] * (BOUND + 1), stream=True)),
    Exchange("choices of prompts over the bound", TEXT, text(prompt=["a"] * 3, n=3)),
    Exchange("choices of prompts over the bound streamed", TEXT, text(prompt=["a"] * 3, n=3, stream=True)),
    Exchange("prompts over the most with a bound", TEXT, text(prompt=["a"] * 1025)),
    Exchange("tokenize with a bound", "/tokenize", {"prompt": "a"}),
)


def bursts(server: RunningServer) -> dict[str, Shape]:
    """What ten requests get that come at the same moment, and what one gets that comes after six."""
    before = refusals(server)
    chats = at_once(server, CHAT, chat(max_tokens=LONG, stream=True))
    completions = at_once(server, TEXT, text(max_tokens=LONG, stream=True))
    whole = at_once(server, CHAT, chat(max_tokens=LONG))
    found = {
        "ten streamed chats at once": _served(chats),
        "ten streamed completions at once": _served(completions),
        "ten whole chats at once": _served(whole),
        f"{REFUSED_TOGETHER}streams": _refused([*chats, *completions]),
        f"{REFUSED_TOGETHER}whole answers": _refused(whole),
    }
    with full_queue(server):
        found["a stream behind a full queue"] = ask(server, CHAT, chat(stream=True))
        found["a chat behind a full queue"] = ask(server, CHAT, chat())
        found["a completion behind a full queue"] = ask(server, TEXT, text())
        found["a wrong request behind a full queue"] = ask(server, CHAT, chat(top_p=2))
        found["an unknown model behind a full queue"] = ask(server, CHAT, chat(model="nope"))
        found["a body that is not JSON behind a full queue"] = ask(server, CHAT, "{bad json")
        found["a conversation that is empty behind a full queue"] = ask(server, CHAT, chat(messages=[]))
        found["tokenize behind a full queue"] = ask(server, "/tokenize", {"prompt": "a"})
    counted = {
        name: "counted" if value > before.get(name, 0) else "not counted"
        for name, value in refusals(server).items()
    }
    found["counter of refusals"] = _told("\n".join(f"{name}: {what}" for name, what in counted.items()))
    return found


def ask(server: RunningServer, path: str, body: object) -> Shape:
    with httpx.Client(timeout=SECONDS) as client:
        content = body if isinstance(body, str) else json.dumps(body)
        return described(client.post(server.url + path, headers=JSON_TYPE, content=content))


def at_once(server: RunningServer, path: str, body: object) -> list[str]:
    """Sends ten of the same at the same moment, over open connections. What became of each."""
    start = threading.Barrier(AT_ONCE)

    def one(_: int) -> str:
        with httpx.Client(timeout=HOLD_SECONDS) as client:
            client.get(f"{server.url}/health")
            start.wait()
            return _outcome(client, server.url + path, body)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(one, range(AT_ONCE)))
    wait_until_idle(server)
    return outcomes


def _served(outcomes: list[str]) -> Shape:
    return _told(f"{outcomes.count(SERVED)} of {len(outcomes)} served")


def _refused(outcomes: list[str]) -> Shape:
    return _told(EITHER.join(sorted(set(outcomes) - {SERVED})))


def _outcome(client: httpx.Client, url: str, body: object) -> str:
    """What became of one request: none is read to its end, so that nobody's place is free for another."""
    until = time.monotonic() + HOLD_SECONDS
    events: list[str] = []
    try:
        with client.stream("POST", url, json=body) as answer:
            kind = answer.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                answer.read()
                return f"{answer.status_code} {kind} {described(answer).body}"
            for line in answer.iter_lines():
                if line:
                    events.append(described_event(line.removeprefix("data: ")))
                if time.monotonic() > until:
                    return SERVED
    except httpx.ReadTimeout:
        return SERVED
    return f"{answer.status_code} {kind} " + "\n".join(events)


@contextmanager
def full_queue(server: RunningServer) -> Iterator[None]:
    """As many streams as the bound allows, one after the other, each begun before the next is sent."""
    body = chat(max_tokens=LONG, stream=True)
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=SECONDS))
        events = []  # an iterator that is forgotten closes its connection
        for number in range(BOUND):
            response = stack.enter_context(client.stream("POST", server.url + CHAT, json=body))
            events.append(response.iter_raw())
            if number < RUNNING:
                next(events[-1])
        yield


def wait_until_idle(server: RunningServer) -> None:
    """vLLM stops a request within 0.4 s of its client's leaving."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if not any(series(server, lambda line: line.startswith("vllm:num_requests_")).values()):
            return
        time.sleep(0.05)


def refusals(server: RunningServer) -> dict[str, float]:
    """vllm:admission_rejections_total by reason."""
    return series(server, lambda line: line.startswith("vllm:admission_rejections_total"))


def series(server: RunningServer, wanted: Callable[[str], bool]) -> dict[str, float]:
    """Values of the wanted lines of /metrics, by name and labels."""
    lines = (line.rpartition(" ") for line in page(server).splitlines() if wanted(line))
    return {name: float(value) for name, _, value in lines}


def _told(what: str) -> Shape:
    return Shape(0, "", "", what)
