"""SIGTERM: what running requests still get, and what new ones are told, until the process is gone."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from local.engine.comparison.asked.bodies import CHAT, SERVED_NAME, TEXT, chat, text
from local.engine.comparison.asked.queue import series
from local.engine.comparison.exchanges import Shape, described, described_event
from local.engine.comparison.servers import RunningServer
from local.engine.comparison.tiny_model import LONGEST_CONTEXT

LONG = LONGEST_CONTEXT - 300
"""Tokens of a reply that is not finished when its client leaves or the time is over."""

TIMEOUT = 5
FINISHING = ("--shutdown-timeout", "60", "--max-num-queued-reqs", "2")
RUNNING_OUT = ("--shutdown-timeout", str(TIMEOUT))

SILENT_SECONDS = 4.0
"""A connection on which nothing has come for so long after the drain counts as silent. vLLM's steps take
milliseconds, and its error event, where there is one, comes within 1.5 s."""

EXIT_SECONDS = 20.0

SILENCE = "nothing more: no byte, no end, no reset"
CUT = "connection closed before the end"


@dataclass
class Reply:
    """One request in its own thread, and how it ended. last: when the last event came."""

    path: str
    body: Mapping[str, object]
    ended: threading.Event = field(default_factory=threading.Event)
    ending: str = SILENCE
    last: float = 0.0

    def ask(self, server: RunningServer, silent_after: float) -> None:
        """Sends it and reads to the end, until nothing has come for `silent_after` seconds."""
        try:
            with (
                httpx.Client(timeout=silent_after) as client,
                client.stream("POST", server.url + self.path, json=self.body) as answer,
            ):
                if not self.body.get("stream"):
                    answer.read()
                    shape = described(answer)
                    self.ending = f"{shape.status} {shape.body}"
                    return
                events: list[str] = []
                for line in answer.iter_lines():
                    if line:
                        self.last = time.monotonic()
                        events = [*events[-1:], line.removeprefix("data: ")]
                complete = events[-1:] == ["[DONE]"]
                self.ending = "\n".join(map(described_event, events)) if complete else CUT
        except httpx.ReadTimeout:
            self.ending = SILENCE
        except httpx.TransportError:
            self.ending = CUT
        finally:
            self.ended.set()


def start(server: RunningServer, *replies: Reply, drained_after: float = 0) -> None:
    """Sends the requests in the background and returns when the engine computes all of them."""
    with httpx.Client(timeout=EXIT_SECONDS) as client:  # the first request of each kind takes a second longer
        for path, body in ((CHAT, chat()), (TEXT, text())):
            client.post(server.url + path, json=body)
    for reply in replies:
        patience = SILENT_SECONDS if reply.body.get("stream") else SILENT_SECONDS + drained_after
        threading.Thread(target=reply.ask, args=(server, patience), daemon=True).start()
    deadline = time.monotonic() + EXIT_SECONDS
    while time.monotonic() < deadline and _running(server) < len(replies):
        time.sleep(0.05)


def _running(server: RunningServer) -> float:
    return sum(series(server, lambda line: line.startswith("vllm:num_requests_running")).values())


def aborted(server: RunningServer) -> dict[str, Shape]:
    """SIGTERM without a drain, which is the default."""
    streamed, completion, whole = _three_kinds()
    start(server, streamed, completion, whole)
    server.terminate()
    return {
        "a streamed chat": _ending(streamed),
        "a streamed completion": _ending(completion),
        "a whole chat": _ending(whole),
        "the process": _exit(server),
    }


def finished(server: RunningServer) -> dict[str, Shape]:
    """A drain that is long enough, with a bound of two requests that is full at first."""
    longer = Reply(CHAT, chat(max_tokens=900, stream=True))
    shorter = Reply(CHAT, chat(max_tokens=400, stream=True))
    start(server, longer, shorter)
    server.terminate()
    time.sleep(0.2)
    found = {f"{name}, the bound full": shape for name, shape in _told(server).items()}
    shorter.ended.wait(EXIT_SECONDS)
    time.sleep(0.05)
    found |= _told(server)
    found["a streamed chat that ends in time"] = _ending(longer)
    found["the process"] = _exit(server)
    return found


def ran_out(server: RunningServer) -> dict[str, Shape]:
    """A drain that is over before the replies are."""
    streamed, completion, whole = _three_kinds()
    start(server, streamed, completion, whole, drained_after=TIMEOUT)
    server.terminate()
    began = time.monotonic()
    found = {
        "a streamed chat": _ending(streamed),
        "a streamed completion": _ending(completion),
        "a whole chat": _ending(whole),
    }
    found["streams get tokens"] = _said(
        "until the time is over" if streamed.last - began > TIMEOUT - 1 else "for less than the time"
    )
    found["the process"] = _exit(server)
    return found


NEW_WORK: Mapping[str, tuple[str, str, object]] = {
    "health": ("GET", "/health", None),
    "models": ("GET", "/v1/models", None),
    "metrics": ("GET", "/metrics", None),
    "a new chat": ("POST", CHAT, chat()),
    "a new streamed chat": ("POST", CHAT, chat(stream=True)),
    "a new completion": ("POST", TEXT, text()),
    "a new completion of two prompts streamed": ("POST", TEXT, text(prompt=["a", "b"], stream=True)),
    "a wrong chat": ("POST", CHAT, chat(top_p=2)),
    "an empty conversation": ("POST", CHAT, chat(messages=[])),
    "an unknown model": ("POST", CHAT, chat(model="nope")),
    "tokenize": ("POST", "/tokenize", {"model": SERVED_NAME, "prompt": "a"}),
    "detokenize": ("POST", "/detokenize", {"model": SERVED_NAME, "tokens": [10]}),
}
"""What is asked of a server that drains."""


def _three_kinds() -> tuple[Reply, Reply, Reply]:
    """A streamed chat, a streamed completion, a whole chat, all of them long."""
    return (
        Reply(CHAT, chat(max_tokens=LONG, stream=True)),
        Reply(TEXT, text(max_tokens=LONG, stream=True)),
        Reply(CHAT, chat(max_tokens=LONG)),
    )


def _told(server: RunningServer) -> dict[str, Shape]:
    found = {}
    # vLLM closes a connection after an answer with status 500: none is used twice.
    with httpx.Client(timeout=EXIT_SECONDS, headers={"connection": "close"}) as client:
        for name, (method, path, body) in NEW_WORK.items():
            try:
                shape = described(client.request(method, server.url + path, json=body))
            except httpx.TransportError as error:
                shape = _said(type(error).__name__)
            found[name] = Shape(shape.status, shape.content_type, "", "") if path == "/metrics" else shape
    return found


def _ending(reply: Reply) -> Shape:
    reply.ended.wait(EXIT_SECONDS * 3)
    return _said(reply.ending)


def _exit(server: RunningServer) -> Shape:
    """Exit status, once no client is left."""
    try:
        return _said(f"exit status {server.process.wait(EXIT_SECONDS)}")
    except subprocess.TimeoutExpired:
        return _said(f"still there after {EXIT_SECONDS:.0f} s")


def _said(what: str) -> Shape:
    return Shape(0, "", "", what)
