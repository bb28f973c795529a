"""A replica that takes connections and answers nothing is left out; one that only computes long is not."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.gateway.clusters import SILENCE_SECONDS
from serving.gateway.served import CanaryRoute, ServedModel
from tests.serving.gateway.engine_server import serving
from tests.serving.gateway.gateway_process import JSON, Gateway, running
from tests.serving.gateway.test_tries import Drawn, Engines, ask, gateway_before

LIMIT = 1024 * 1024
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    with Engines() as started:
        yield started


def answers(gateway: Gateway, patience: float = 1, **body: object) -> bool:
    """Whether an engine answers a client with so many seconds of patience."""
    connection = http.client.HTTPConnection(gateway.clients, timeout=patience)
    try:
        connection.request("POST", CHAT, json.dumps({"user": "client", **body}), JSON)
        return connection.getresponse().status == 200
    except TimeoutError:
        return False
    finally:
        connection.close()


SILENT: Mapping[str, Drawn] = {
    "a replica": Drawn(ServedModel("chat", "generate"), {"chat": ["silent", "answers", "answers"]}),
    "most replicas": Drawn(ServedModel("chat", "generate"), {"chat": ["silent", "silent", "answers"]}),
    "the canary": Drawn(
        ServedModel("chat", "generate", canary=CanaryRoute("chat-canary", 100)),
        {"chat": ["answers"], "chat-canary": ["silent", "answers"]},
    ),
}


@pytest.mark.traffic
@pytest.mark.parametrize("case", SILENT)
def test_a_silent_replica_gets_no_more_traffic(tmp_path: Path, engines: Engines, case: str):
    with gateway_before(tmp_path, engines, [SILENT[case]]) as gateway:
        time.sleep(SILENCE_SECONDS)
        assert all(answers(gateway, model="chat") for _ in range(12))
        with ThreadPoolExecutor(8) as clients:
            assert all(clients.map(lambda _: answers(gateway, model="chat"), range(200)))
        for key in range(9):
            assert all(answers(gateway, model="chat", prompt_cache_key=f"c{key}") for _ in range(4))


@pytest.mark.traffic
def test_a_replica_that_computes_for_longer_than_the_check_waits_is_kept(tmp_path: Path, engines: Engines):
    model = Drawn(ServedModel("chat", "generate"), {"chat": ["slow", "slow"]})
    with gateway_before(tmp_path, engines, [model]) as gateway, ThreadPoolExecutor(4) as clients:
        began = time.monotonic()
        waiting = [clients.submit(answers, gateway, 30, model="chat") for _ in range(4)]
        time.sleep(SILENCE_SECONDS)
        assert all(request.result() for request in waiting)
        # On both: none was sent again or kept waiting for the other one.
        assert time.monotonic() - began < 20


@pytest.mark.traffic
def test_if_all_are_silent_requests_wait_and_nothing_is_called_asleep(tmp_path: Path, engines: Engines):
    model = Drawn(ServedModel("chat", "generate"), {"chat": ["silent", "silent"]})
    with gateway_before(tmp_path, engines, [model]) as gateway:
        time.sleep(SILENCE_SECONDS)
        assert not answers(gateway, model="chat")  # no answer, and no error either: the client gave up


def test_the_first_replica_of_a_model_takes_requests_at_once(tmp_path: Path, engines: Engines):
    models = [ServedModel("chat", "generate")]
    with running(tmp_path, {"chat": []}, LIMIT, models=models) as gateway:
        assert not answers(gateway, model="chat")
        began = time.monotonic()
        gateway.rewrite({"chat": [engines.start("answers")]}, LIMIT, models=models)
        while not answers(gateway, model="chat"):
            assert time.monotonic() - began < 5
            time.sleep(0.02)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("more", [{}, {"prompt_cache_key": "a"}], ids=["plain", "keyed"])
@pytest.mark.parametrize("canary", ["no canary", "canary"])
def test_a_first_byte_that_does_not_come_in_time_is_waited_for_on_one_other_replica(
    tmp_path: Path, engines: Engines, canary: str, more: dict[str, str]
):
    tried = CanaryRoute("chat-canary", 100) if canary == "canary" else None
    model = ServedModel("chat", "generate", canary=tried, first_byte_seconds=1)
    kinds = {"chat": ["answers"], "chat-canary": ["stuck"]} if tried else {"chat": ["answers", "stuck"]}
    with gateway_before(tmp_path, engines, [Drawn(model, kinds)]) as gateway:
        assert all(answers(gateway, 10, model="chat", **more) for _ in range(3))


def test_if_no_first_byte_comes_in_time_the_client_is_told_after_two_engines(
    tmp_path: Path, engines: Engines
):
    model = ServedModel("chat", "generate", first_byte_seconds=1)
    with gateway_before(tmp_path, engines, [Drawn(model, {"chat": ["stuck"] * 4})]) as gateway:
        began = time.monotonic()
        answer = ask(gateway, "chat", "no first byte")
        assert 2 <= time.monotonic() - began < 5
    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
    assert "did not begin to answer" in answer.message
    assert len(engines.seen["no first byte"]) == 2


def test_a_stream_that_has_begun_has_no_time_limit(tmp_path: Path):
    models = [ServedModel("chat", "generate", first_byte_seconds=1)]
    with serving() as engine, running(tmp_path, {"chat": [engine.port]}, LIMIT, models=models) as gateway:
        connection = http.client.HTTPConnection(gateway.clients, timeout=20)
        connection.request("POST", CHAT, json.dumps({"model": "chat", "stream": True}), JSON)
        response = connection.getresponse()
        assert response.readline() == b"data: first\n"
        time.sleep(2)
        engine.proceed.set()
        assert b"[DONE]" in response.read()
        connection.close()
