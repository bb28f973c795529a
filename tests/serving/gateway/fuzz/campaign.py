"""`make fuzz`: what the tests do in seconds, for minutes, on a real Envoy. Not part of `make test`.

Each part says how much it sent and what stood at the end; LLM_PLATFORM_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest

from serving.gateway.metadata import printable
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.fuzz.mutations import body
from tests.serving.gateway.gateway_process import JSON, Gateway, authorization, memory_mib, running

SEED = int(os.environ.get("LLM_PLATFORM_FUZZ_SEED", str(time.time_ns() % 1_000_000)))
BODIES = int(os.environ.get("LLM_PLATFORM_FUZZ_BODIES", "600000"))
TEAMS = 3_000
REQUESTS = 20_000
LEAVING = 1_500
LIMIT = 2 * 1024 * 1024
ROOMY_MIB = 8192
"""Memory by which the bounds of a team's bytes follow: one team sends all the bodies."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("fuzz")
    with running(folder, {"chat": [engine.port]}, LIMIT, memory_mib=ROOMY_MIB) as started:
        yield started


class Client:
    """Sends one request after the other, on one connection as long as the gateway keeps it: Envoy closes it
    after each 400 of its own. A tenth of http.client's CPU time.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=60)
        self._answers = self._socket.makefile("rb")

    def answer(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nHost: gateway\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        status = int(self._answers.readline().split()[1])
        length, closes = 0, False
        while (line := self._answers.readline().lower()) not in {b"\r\n", b""}:
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            closes = closes or line == b"connection: close\r\n"
        text = self._answers.read(length)
        if closes:
            self.close()
            self._connect()
        return status, text

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


def read_as(body: bytes) -> object:
    """The body's model as Python's json and orjson read it; None where one of them refuses the body."""
    try:
        first, second = json.loads(body.decode("utf-8")), orjson.loads(body)
    except (ValueError, RecursionError):
        return None
    assert first.get("model") == second.get("model") if isinstance(first, dict) else True, body
    return first.get("model") if isinstance(first, dict) else None


def test_bodies_are_read_as_parsers_read_them(gateway: Gateway):
    choose = random.Random(SEED)
    counts = {"passed": 0, "refused": 0, "refused, though parsers take it": 0}
    with contextlib.closing(Client(gateway.clients)) as client:
        for _ in range(BODIES):
            sent = body(choose)
            # A path that this model does not answer: no engine is asked.
            status, text = client.answer("/v1/embeddings", sent, JSON)
            error = json.loads(text)["error"]
            meant = read_as(sent)
            if error["code"] in {"wrong_path", "model_not_found"}:
                counts["passed"] += 1
                assert isinstance(meant, str), (SEED, sent)
                assert f"'{printable(meant)}'" in error["message"], (SEED, sent, error)
            else:
                assert (status, error["code"]) == (400, "invalid_body"), (SEED, sent, error)
                counts["refused"] += 1
                counts["refused, though parsers take it"] += isinstance(meant, str)
    print(f"\nseed {SEED}, bodies {BODIES}: {counts}")
    assert counts["passed"] > BODIES / 10
    assert counts["refused"] > BODIES / 10


def series(gateway: Gateway) -> int:
    with urllib.request.urlopen(f"http://{gateway.metrics}/stats/prometheus", timeout=30) as answer:
        return sum(not line.startswith(b"#") for line in answer.read().splitlines())


def test_teams_names_and_keys_leave_nothing_behind(gateway: Gateway):
    choose = random.Random(SEED)
    teams = [authorization(f"team-{number}") for number in range(TEAMS)]
    seen: list[tuple[int, float]] = []
    with contextlib.closing(Client(gateway.clients)) as client:
        for number in range(REQUESTS):
            name = f"made-up-{choose.randrange(10**9)}" if choose.random() < 2 / 3 else "chat"
            sent = json.dumps({"model": name, "prompt_cache_key": f"key-{number}"}).encode()
            headers = {"Content-Type": "application/json", **choose.choice(teams)}
            status, _ = client.answer("/v1/embeddings", sent, headers)
            assert status == (400 if name == "chat" else 404)
            if number % (REQUESTS // 10) == REQUESTS // 10 - 1:
                seen.append((series(gateway), memory_mib(gateway, "VmRSS")))
    print(f"\n{REQUESTS} requests of {TEAMS} teams: series and MiB {seen}")
    # Envoy makes the series of a cluster's first error when it happens.
    assert seen[-1][0] == seen[1][0]
    assert seen[-1][1] < seen[1][1] + 20


def active(gateway: Gateway) -> int:
    with urllib.request.urlopen(f"http://{gateway.admin}/stats?filter=rq_active", timeout=30) as answer:
        found = re.findall(
            r"^cluster\.chat[^:]*\.upstream_rq_active: (\d+)$", answer.read().decode(), re.MULTILINE
        )
    return sum(int(number) for number in found)


def test_clients_that_leave_hold_no_place(tmp_path: Path, engine: Engine):
    choose = random.Random(SEED)
    engine.proceed.clear()
    request = json.dumps({"model": "chat", "stream": True}).encode()
    with running(tmp_path, {"chat": [engine.port]}, LIMIT) as gateway:
        memory: list[float] = []
        for number in range(LEAVING):
            connection = http.client.HTTPConnection(gateway.clients, timeout=20)
            connection.request("POST", "/v1/chat/completions", request, JSON)
            if choose.random() < 0.7:
                assert connection.getresponse().status == 200
            if choose.random() < 0.5 and connection.sock is not None:
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
            if number % 300 == 299:
                memory.append(memory_mib(gateway, "VmRSS"))
        end = time.monotonic() + 20
        while active(gateway) and time.monotonic() < end:
            time.sleep(0.2)
        print(f"\n{LEAVING} clients left: {active(gateway)} requests active, MiB {memory}")
        assert active(gateway) == 0
        assert memory[-1] < memory[0] + 20
    engine.proceed.set()
