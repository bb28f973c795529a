"""The program as the Job runs it: what it prints, how often it tries, and with what it ends."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.serving.verify.imitations import (
    CHAT,
    GOOD,
    NOBODY,
    UNAVAILABLE,
    Reply,
    gateway,
    prometheus,
    run,
    run_with,
    stream,
)
from tests.serving.verify.scaled_model import MODEL, QUEUE, REPLICAS, WORKING

ASLEEP = {REPLICAS: [0], QUEUE: [0.0]}


def test_all_is_well():
    with gateway() as asked:
        ended = run(asked.address)
    assert (ended.code, ended.err) == (0, "")
    first, *others = ended.out.splitlines()
    assert first.startswith("model chat: streamed 2 pieces, the first after 0.")
    assert others == [
        "a request without a token: 401",
        "a request with a made-up token: 401",
        "unknown model: 404 in OpenAI's shape",
        "/metrics: refused with 404",
    ]


def test_every_trigger_and_the_autoscaler_have_a_line():
    with gateway() as asked, prometheus(WORKING) as metrics:
        ended = run(asked.address, [MODEL], metrics)
    assert (ended.code, ended.err) == (0, "")
    assert "trigger inference:scaling_queue:replicas of model chat: 0 replicas" in ended.out
    assert "autoscaler of model chat: active, 1 triggers with a value" in ended.out


def test_every_failure_has_its_line_and_what_holds_has_none():
    with gateway(model=UNAVAILABLE, metrics=Reply(200, b"")) as asked:
        ended = run(asked.address)
    assert (ended.code, ended.out) == (1, "")
    model, metrics = ended.err.splitlines()
    assert model.startswith("model chat: no ready endpoint")
    assert metrics.startswith("/metrics: expected to be refused")


def test_a_platform_without_models_is_verified_too():
    with gateway() as asked:
        ended = run(asked.address, models=[])
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 4


def test_a_gateway_that_is_not_there_leaves_no_stack_trace():
    ended = run(NOBODY)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 5


def test_a_job_that_tells_nothing_gets_one_line():
    line = run_with({}).failure
    assert line.startswith(
        "the variables VERIFY_... are not those that serving/verify/job.py writes (KeyError:"
    )


def test_a_check_is_repeated_until_it_holds():
    answers = iter([UNAVAILABLE, UNAVAILABLE])
    with gateway(model=lambda: next(answers, GOOD)) as asked:
        ended = run(asked.address, seconds=10)
    assert (ended.code, len(asked.requests)) == (0, 3)
    assert "streamed 2 pieces" in ended.out


def test_repeating_ends():
    began = time.monotonic()
    with gateway(model=UNAVAILABLE) as asked:
        ended = run(asked.address, seconds=2)
    assert ended.code == 1
    assert len(asked.requests) in (2, 3)
    assert time.monotonic() - began < 8


def test_a_model_that_sleeps_is_reported_and_left_asleep():
    with gateway(model=UNAVAILABLE) as asked, prometheus(ASLEEP) as metrics:
        ended = run(asked.address, [replace(MODEL, minimum=0)], metrics)
    assert (ended.code, asked.requests) == (0, [])
    assert "model chat: asleep, with 0 replicas; not asked" in ended.out
    assert "autoscaler of model chat: asleep, until requests arrive" in ended.out


def test_a_model_that_may_not_sleep_and_has_no_replica_is_a_failure():
    with gateway(model=UNAVAILABLE) as asked, prometheus(ASLEEP) as metrics:
        ended = run(asked.address, [MODEL], metrics)
    assert ended.code == 1
    assert "model chat: no ready endpoint" in ended.err


def test_a_model_is_woken_if_that_is_asked_for():
    answers = iter([UNAVAILABLE, UNAVAILABLE])
    model = replace(MODEL, minimum=0, when_asleep="wake", startup_seconds=20)
    with gateway(model=lambda: next(answers, stream(None, "a"))) as asked, prometheus(WORKING) as metrics:
        ended = run(asked.address, [model], metrics, seconds=0)
    assert (ended.code, ended.err) == (0, "")
    assert "model chat: streamed 1 pieces" in ended.out


def test_a_canary_is_asked_for_as_its_model():
    with gateway() as asked:
        ended = run(asked.address, [replace(CHAT, name="chat-canary")])
    assert "model chat-canary: streamed 2 pieces" in ended.out
    assert [body["model"] for _, body in asked.requests] == ["chat"]
