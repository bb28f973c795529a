"""One team cannot hold every place of a model, and what its requests hold is given back however they end."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serving.gateway.authentication import TEAM_HEADER
from serving.gateway.memory import WORKER_THREADS
from serving.gateway.places import LEAST, places_of_a_team
from serving.gateway.served import ServedModel
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import Gateway, authorization, running

LIMIT = 1 << 20
PLACES = 40
CHAT = ServedModel("chat", "generate", aliases=("default",), adapters=("tuned",), max_in_flight=PLACES)
MODELS = [CHAT, ServedModel("other", "generate", max_in_flight=PLACES)]
MOST = places_of_a_team(CHAT, MODELS)
"""In a thread; the gateway here has one."""


@pytest.fixture
def gateway(tmp_path: Path, engine: Engine) -> Iterator[Gateway]:
    engine.proceed.clear()
    backends = {"chat": [engine.port], "other": [engine.port]}
    with running(tmp_path, backends, LIMIT, models=MODELS) as started:
        yield started
    engine.proceed.set()


def sent(
    gateway: Gateway, team: str, model: str = "chat", *, stream: bool = True, claimed: str | None = None
) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    body = json.dumps({"model": model, "stream": stream}).encode()
    headers = {"Content-Type": "application/json", **authorization(team)}
    if claimed is not None:
        headers[TEAM_HEADER] = claimed
    connection.request("POST", "/v1/chat/completions", body, headers)
    return connection


def status(gateway: Gateway, team: str, model: str = "chat") -> int:
    with contextlib.closing(sent(gateway, team, model, stream=False)) as connection:
        return connection.getresponse().status


@contextlib.contextmanager
def streams(gateway: Gateway, team: str, number: int, model: str = "chat") -> Iterator[None]:
    """So many answers that have begun and do not end."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(contextlib.closing(sent(gateway, team, model)))
            assert connection.getresponse().status == 200
        yield


def test_a_team_that_is_over_is_refused_at_once_and_others_are_not(gateway: Gateway, engine: Engine):
    assert 1 < MOST < PLACES
    names = ("chat", "default", "tuned")
    with contextlib.ExitStack() as held:
        for number in range(MOST):
            held.enter_context(streams(gateway, "greedy", 1, names[number % 3]))
        started = time.monotonic()
        with contextlib.closing(sent(gateway, "greedy")) as connection:
            refused = connection.getresponse()
            assert (refused.status, refused.headers["retry-after"]) == (429, "5")
            error = json.loads(refused.read())["error"]
        assert time.monotonic() - started < 2
        assert (error["type"], error["code"]) == ("rate_limit_error", "concurrency_limit_exceeded")
        assert "'chat'" in error["message"]
        assert status(gateway, "greedy", "other") == 200
        with streams(gateway, "modest", MOST):
            assert {status(gateway, team) for team in ("greedy", "modest")} == {429}
        engine.proceed.set()
    time.sleep(0.1)  # the gateway hears of the ends, and counts again 20 ms after a refusal
    assert status(gateway, "greedy") == 200


def test_no_client_says_which_team_it_is(gateway: Gateway, engine: Engine):
    with streams(gateway, "greedy", MOST):
        with contextlib.closing(sent(gateway, "greedy", claimed="modest")) as connection:
            assert connection.getresponse().status == 429
        with contextlib.closing(sent(gateway, "modest", claimed="greedy")) as connection:
            assert connection.getresponse().status == 200


def test_what_ends_as_it_should_never_adds_up(gateway: Gateway, engine: Engine):
    with streams(gateway, "steady", MOST - 1):
        assert {status(gateway, "steady") for _ in range(20 * MOST)} == {200}


@pytest.mark.traffic
def test_however_they_end_every_place_is_given_back(gateway: Gateway, engine: Engine):
    choose = random.Random(2)
    for number in range(2000):
        end = choose.choice(
            ("answered", "left", "left early", "reset", "engine cuts", "engine full", "pipelined")
        )
        if end == "answered":
            assert status(gateway, "ends") == 200
        elif end in {"left", "reset"}:
            connection = sent(gateway, "ends")
            assert connection.getresponse().status == 200
            if end == "reset" and connection.sock is not None:
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        elif end == "left early":
            sent(gateway, "ends").close()
        elif end == "engine cuts":
            engine.refuse_first = 2
            # One that left before may have met it instead.
            assert status(gateway, "ends") in {200, 502, 503}
            engine.refuse_first = 0
        elif end == "engine full":
            engine.full = True
            assert status(gateway, "ends") == 503
            engine.full = False
        else:
            connection = sent(gateway, "ends", stream=False)
            assert connection.getresponse().read()
            connection.close()
        if number % 500 == 499:
            time.sleep(0.5)
            with streams(gateway, "ends", MOST):
                assert status(gateway, "ends") == 429
            time.sleep(0.5)


def test_a_share_of_1_is_no_bound_of_its_own(tmp_path: Path, engine: Engine):
    engine.proceed.clear()
    models = [replace(CHAT, team_share=1.0, max_in_flight=4)]
    with running(tmp_path, {"chat": [engine.port]}, LIMIT, models=models) as gateway:
        with streams(gateway, "alone", 4):
            assert status(gateway, "alone") == 503
        engine.proceed.set()


def test_the_threads_of_a_pod_together_leave_places():
    for places in range(2 * WORKER_THREADS * LEAST, 300):
        model = replace(CHAT, max_in_flight=places)
        assert LEAST * WORKER_THREADS <= places_of_a_team(model, [model]) * WORKER_THREADS < places
    # The fallback's are counted, as that is where requests go that find none.
    both = [replace(CHAT, fallback="other"), MODELS[1]]
    assert places_of_a_team(both[0], both) == 2 * MOST
