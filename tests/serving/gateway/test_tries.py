"""How often a request is tried: engines that refuse, break off, are full or answer, mixed in all orders.

One real Envoy stands in front of many models, each with replicas, a canary and a fallback whose behaviour is
drawn. Envoy chooses the order.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from openai import InternalServerError, OpenAI
from prometheus_client.parser import text_string_to_metric_families

from serving.gateway.errors import RETRY_AFTER_SECONDS
from serving.gateway.outcomes import MODEL_HEADER, OUTCOME_LABEL, UNANSWERED_METRIC, UNANSWERED_MODEL_LABEL
from serving.gateway.served import CanaryRoute, ServedModel
from serving.gateway.tries import DELIVERIES, UNDELIVERED
from tests.serving.gateway.gateway_process import AUTHORIZATION, JSON, Gateway, access_log_lines, running

LIMIT = 1024 * 1024
CHAT = "/v1/chat/completions"

Kind = Literal["answers", "refuses", "full", "dies", "closes", "half a header", "garbage", "closes later"]
"""How an engine behaves; all but the first three take the request whole and break off. One that dies does so
once: after that nothing listens."""

BREAKS: tuple[Kind, ...] = ("closes", "half a header", "garbage", "closes later")
REFUSALS = {
    "full": b"HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nfull",
    "full, no end": b"HTTP/1.1 503 X\r\nContent-Length: 90\r\n\r\nfull",
    "full, long": b"HTTP/1.1 503 X\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000,
    "full, packed": b"HTTP/1.1 503 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
}


class Engines:
    """Servers on many ports of one thread, each of one kind.

    seen: of each request the ports that took it whole, with their kinds, in order. Requests are told apart by
    their `user`.
    """

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[int, str]]] = {}
        self._loop = asyncio.new_event_loop()
        self._by_port: dict[int, asyncio.Server] = {}
        self._refusing: list[socket.socket] = []
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Engines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for server in self._by_port.values():
            server.close()
        for refusing in self._refusing:
            refusing.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def start(self, kind: str) -> int:
        """Its port."""
        return asyncio.run_coroutine_threadsafe(self._start(kind), self._loop).result()

    async def _start(self, kind: str) -> int:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    await self._answer(kind, port, reader, writer)
            except (OSError, EOFError):
                pass
            finally:
                writer.close()

        if kind == "refuses":
            # Bound and not listening: a port that was free could become another program's.
            self._refusing.append(socket.socket())
            self._refusing[-1].bind(("127.0.0.1", 0))
            return int(self._refusing[-1].getsockname()[1])
        server = await asyncio.start_server(take, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        self._by_port[port] = server
        return port

    async def _answer(
        self, kind: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if kind == "silent":
            await asyncio.sleep(60)
        if head.startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 405 X\r\nContent-Length: 0\r\n\r\n")
            return
        lines = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        body = json.loads(await reader.readexactly(int(lines["content-length"])))
        assert not any(name.startswith("x-llm-platform") for name in lines), lines
        self.seen.setdefault(body["user"], []).append((port, kind))
        if kind == "stuck":
            await asyncio.sleep(60)
        if kind == "slow":
            await asyncio.sleep(15)
        if kind in ("answers", "slow"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        elif kind.startswith("full"):
            writer.write(REFUSALS[kind])
        elif kind == "half a header":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nx-b: ")
        elif kind == "garbage":
            writer.write(b"that is not HTTP\r\n\r\n")
        elif kind == "closes later":
            await asyncio.sleep(0.2)
        await writer.drain()
        if kind == "dies":
            self._by_port[port].close()
        if kind == "dies" or kind in BREAKS:
            raise EOFError


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    with Engines() as started:
        yield started


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def message(self) -> str:
        return self.body["error"]["message"]


def ask(gateway: Gateway, model: str, user: str) -> Answer:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    try:
        connection.request("POST", CHAT, json.dumps({"model": model, "user": user}), JSON)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, json.loads(response.read()))
    finally:
        connection.close()


def counted(gateway: Gateway) -> Counter[tuple[str, str]]:
    """Of each model and outcome, what Prometheus reads."""
    with urllib.request.urlopen(f"http://{gateway.metrics}/stats/prometheus", timeout=10) as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    return Counter(
        {
            (sample.labels[UNANSWERED_MODEL_LABEL], sample.labels[OUTCOME_LABEL]): int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name.removesuffix("_total") == UNANSWERED_METRIC
        }
    )


@dataclass(frozen=True)
class Drawn:
    """A model and the kinds of its engines, by Service."""

    model: ServedModel
    kinds: Mapping[str, Sequence[str]]

    def is_safe(self) -> bool:
        """Whether one of the tries is bound to meet an engine that answers: no replica is tried twice while
        another of its Service is left."""
        bad = {service: sum(kind != "answers" for kind in kinds) for service, kinds in self.kinds.items()}
        elsewhere = len(self.kinds) > 1
        # What follows a full queue goes to another Service only where there is one.
        if not elsewhere and "full" in self.kinds[self.model.name]:
            return False
        first = [] if self.model.canary is None else [self.model.canary.service]
        model, other = self.model.name, self.model.fallback
        turns = [*first, model, model, *([model] * 4 if other is None else [other, model])][:UNDELIVERED]
        return any(
            len(kinds) > bad[service] and bad[service] < turns.count(service)
            for service, kinds in self.kinds.items()
        )


def draw(number: int, chance: random.Random) -> Drawn:
    name, other, trial = f"chat-{number}", f"large-{number}", f"chat-{number}-canary"
    pool: Sequence[str] = ("answers", "refuses", "full", chance.choice(BREAKS))
    kinds = {name: chance.choices(pool, k=chance.randint(1, 4))}
    fallback = chance.random() < 0.5
    if fallback:
        kinds[other] = chance.choices(pool, k=chance.randint(1, 3))
    canary = chance.random() < 0.5
    if canary:
        kinds[trial] = chance.choices(pool, k=chance.randint(1, 2))
    model = ServedModel(
        name,
        "generate",
        fallback=other if fallback else None,
        canary=CanaryRoute(trial, 100) if canary else None,
    )
    return Drawn(model, kinds)


def models_of(drawn: Sequence[Drawn]) -> list[ServedModel]:
    others = [ServedModel(one.model.fallback, "generate") for one in drawn if one.model.fallback is not None]
    return [*(one.model for one in drawn), *others]


@contextmanager
def gateway_before(folder: Path, engines: Engines, drawn: Sequence[Drawn]) -> Iterator[Gateway]:
    backends = {
        service: [engines.start(kind) for kind in kinds]
        for one in drawn
        for service, kinds in one.kinds.items()
    }
    with running(folder, backends, LIMIT, models=models_of(drawn)) as gateway:
        yield gateway


MODELS = 120


@pytest.mark.traffic
def test_two_budgets_in_every_order_of_causes(tmp_path: Path, engines: Engines):
    chance = random.Random(11)
    drawn = [draw(number, chance) for number in range(MODELS)]
    names = [one.model.name for one in drawn]
    with gateway_before(tmp_path, engines, drawn) as gateway, ThreadPoolExecutor(16) as clients:
        answers = dict(zip(names, clients.map(lambda name: ask(gateway, name, name), names), strict=True))
        outcomes = counted(gateway)
    lines = {line["model"]: line for line in access_log_lines(tmp_path)}
    ends = Counter[str | None]()
    for one in drawn:
        name = one.model.name
        answer, line = answers[name], lines[name]
        seen = [kind for _, kind in engines.seen.get(name, [])]
        broke = sum(kind in BREAKS for kind in seen)
        full = seen.count("full")
        assert broke <= DELIVERIES, (name, seen)
        # What ends with the script's own answer has one attempt more in the log, which sent nothing.
        nothing_sent = 0 if answer.status == 200 else 1
        undelivered = line["attempts"] - nothing_sent - broke - seen.count("answers")
        assert full <= undelivered <= UNDELIVERED, (name, seen, line)
        # It had not begun, and one of the tries was bound to meet a live engine: it is not lost.
        assert answer.status == 200 or broke or not one.is_safe(), (one.kinds, seen)
        if answer.status == 200:
            assert seen[-1] == "answers"
            assert line["outcome"] is None
        elif broke:
            assert (answer.status, line["outcome"]) == (502, "broken"), (one.kinds, seen, answer)
            assert answer.headers["x-should-retry"] == "false"
            assert "retry-after" not in answer.headers
            assert "closed the connection" in answer.message
        else:
            assert (answer.status, line["status"]) == (503, 503)
            assert answer.headers["retry-after"] == str(RETRY_AFTER_SECONDS)
            assert "x-should-retry" not in answer.headers
            assert ("full" in answer.message) == (line["outcome"] == "full"), (seen, answer, line)
            assert line["outcome"] == "full" or "can answer now" in answer.message
        assert not [header for header in answer.headers if header.endswith("tries")]
        ends[line["outcome"]] += 1
    # Each end was seen, so the test can fail for each.
    assert min(ends[word] for word in (None, "broken", "full", "unreachable")) >= 3, ends
    assert sum(outcomes.values()) == MODELS - ends[None]
    assert {word for _, word in outcomes} == {"broken", "full", "unreachable"}


@pytest.mark.parametrize("kind", BREAKS)
def test_one_call_of_openais_client_ends_two_engines_at_most(tmp_path: Path, engines: Engines, kind: Kind):
    model = Drawn(ServedModel("chat", "generate"), {"chat": [kind] * 5})
    with gateway_before(tmp_path, engines, [model]) as gateway:
        client = OpenAI(
            base_url=f"http://{gateway.clients}/v1",
            api_key=AUTHORIZATION["Authorization"].removeprefix("Bearer "),
            timeout=20,
        )
        with client, pytest.raises(InternalServerError) as error:
            client.chat.completions.create(
                model="chat", user=f"openai, {kind}", messages=[{"role": "user", "content": "a"}]
            )
        assert counted(gateway) == {("chat", "broken"): 1}
    assert error.value.status_code == 502
    ports = [port for port, _ in engines.seen[f"openai, {kind}"]]
    assert len(set(ports)) == len(ports) == DELIVERIES


@pytest.mark.parametrize("kind", list(REFUSALS))
def test_an_engines_503_is_told_in_the_gateways_words_however_it_goes_on(
    tmp_path: Path, engines: Engines, kind: str
):
    model = Drawn(ServedModel("chat", "generate"), {"chat": [kind] * 3})
    with gateway_before(tmp_path, engines, [model]) as gateway:
        answer = ask(gateway, "chat", kind)
    assert answer.status == 503
    assert "queues of all replicas of 'chat' are full" in answer.message
    assert answer.headers["retry-after"] == str(RETRY_AFTER_SECONDS)
    assert "content-encoding" not in answer.headers
    assert len(engines.seen[kind]) == 1


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_a_killed_engine_had_not_begun_to_answer_is_answered_elsewhere(
    tmp_path: Path, engines: Engines, replicas: int
):
    """With one replica by the fallback, with two by the other one."""
    model = ServedModel("chat", "generate", fallback="large")
    kinds = {"chat": ["dies", *["answers"] * (replicas - 1)], "large": ["answers"]}
    with gateway_before(tmp_path, engines, [Drawn(model, kinds)]) as gateway:
        answers = [ask(gateway, "chat", f"killed {replicas}, {number}") for number in range(6)]
        assert not counted(gateway)
    assert {answer.status for answer in answers} == {200}
    seen = [kind for number in range(6) for _, kind in engines.seen[f"killed {replicas}, {number}"]]
    assert Counter(seen) == {"dies": 1, "answers": 6}
    assert answers[0].headers[MODEL_HEADER] == ("large" if replicas == 1 else "chat")


def test_a_replica_that_broke_off_and_is_gone_is_not_called_asleep(tmp_path: Path, engines: Engines):
    """The endpoint leaves between two tries: Envoy has no host for the second."""
    model = Drawn(ServedModel("chat", "generate"), {"chat": ["closes later"]})
    with gateway_before(tmp_path, engines, [model]) as gateway:
        answers: list[Answer] = []
        client = threading.Thread(target=lambda: answers.append(ask(gateway, "chat", "gone")))
        client.start()
        while "gone" not in engines.seen:
            client.join(0.001)
        gateway.rewrite({"chat": []}, LIMIT, models=[model.model])
        client.join()
        assert counted(gateway) == {("chat", "broken"): 1}
    (answer,) = answers
    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
    assert "retry-after" not in answer.headers
    assert answer.body["error"]["code"] == "engine_connection_broken"
