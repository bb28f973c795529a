"""Clients that leave before their answer is complete: what the engine does, and what it counts."""

from __future__ import annotations

import time

import httpx

from local.engine.comparison.asked.bodies import CHAT, TEXT, chat, text
from local.engine.comparison.asked.queue import series
from local.engine.comparison.exchanges import Shape
from local.engine.comparison.servers import RunningServer
from local.engine.comparison.tiny_model import LONGEST_CONTEXT

LONG = LONGEST_CONTEXT - 300
"""Tokens of a reply that is not finished when its client leaves or the time is over."""

STAY_SECONDS = 0.5
SETTLE_SECONDS = 1.5
"""vLLM stops a request within 0.4 s of its client's leaving."""

WATCHED = ("http_requests_total", "vllm:request_success_total", "vllm:num_requests_")


def left_clients(server: RunningServer) -> dict[str, Shape]:
    """The counters that move when a client leaves a whole or a streamed answer."""
    found = {}
    with httpx.Client(timeout=60) as client:  # the first request of each kind takes a second longer
        for path, body in ((CHAT, chat()), (TEXT, text())):
            client.post(server.url + path, json=body)
    for name, path, body in (
        ("a client that leaves a whole chat", CHAT, chat(max_tokens=LONG)),
        ("a client that leaves a whole completion", TEXT, text(max_tokens=LONG)),
        ("a client that leaves a streamed chat", CHAT, chat(max_tokens=LONG, stream=True)),
    ):
        before = _watched(server)
        _leave(server, path, body)
        time.sleep(SETTLE_SECONDS)
        after = _watched(server)
        moved = [
            f"{key}: {value - before.get(key, 0):+g}"
            for key, value in sorted(after.items())
            if value != before.get(key, 0)
        ]
        found[name] = Shape(0, "", "", "\n".join(moved))
    return found


def _watched(server: RunningServer) -> dict[str, float]:
    return series(server, lambda line: line.startswith(WATCHED))


def _leave(server: RunningServer, path: str, body: object) -> None:
    try:
        with (
            httpx.Client(timeout=STAY_SECONDS) as client,
            client.stream("POST", server.url + path, json=body) as answer,
        ):
            began = time.monotonic()
            for _ in answer.iter_raw():
                if time.monotonic() - began > STAY_SECONDS:
                    return
    except httpx.ReadTimeout:
        return
