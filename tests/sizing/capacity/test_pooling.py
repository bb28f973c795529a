"""What a replica of an embedding or reranking model takes: by hand and by property."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.capacity.batch import ReplicaCapacity
from sizing.capacity.pooling import Calls, answering_capacity, utilization
from sizing.capacity.timing import StepTime, step_time
from sizing.hardware.accelerators import accelerator
from sizing.models.models import model

MODEL = model("Qwen/Qwen3-Embedding-0.6B")
L4 = accelerator("nvidia-l4")
TEXTS = Calls(prompt_tokens=400, inputs=1, answer_seconds=0.5, objective=0.99)
DOCUMENTS = Calls(prompt_tokens=400, inputs=100, answer_seconds=10, objective=0.99)


def on_l4(calls: Calls, max_num_seqs: int | None = None) -> ReplicaCapacity:
    return answering_capacity(MODEL, L4, "bf16", 1, 0.92, calls, max_num_seqs)


def timing_on_l4() -> StepTime:
    return step_time(MODEL, L4, "bf16", 1)


def test_by_hand_on_an_l4():
    capacity = on_l4(TEXTS)
    timing = timing_on_l4()
    # A step holds 2048 tokens, 5.12 texts.
    assert capacity.latency_batch == pytest.approx(5.12)
    assert capacity.max_num_seqs == 7
    step_ms = timing.alpha_ms + 5.12 * 400 * (timing.beta_ms + timing.gamma_ms)
    # One step for the text, one for the one that runs when it comes; the rest of 500 ms may be waited for.
    alone_ms = timing.alpha_ms + 400 * (timing.beta_ms + timing.gamma_ms)
    slack, service = 500 - timing.request_ms - alone_ms - step_ms, step_ms / 5.12
    kept = capacity.requests_per_second * service / 1000
    assert kept * exp(-2 * (1 - kept) * slack / service) == pytest.approx(0.01, rel=0.01)
    assert capacity.lowest_ttft_seconds == pytest.approx((timing.request_ms + alone_ms) / 1000)
    assert capacity.lowest_itl_seconds is None


def test_a_short_promise_makes_small_steps():
    timing = timing_on_l4()
    capacity = on_l4(replace(TEXTS, answer_seconds=0.06))
    step_ms = timing.alpha_ms + capacity.latency_batch * 400 * (timing.beta_ms + timing.gamma_ms)
    assert 2 * step_ms + timing.request_ms == pytest.approx(60)
    assert capacity.latency_batch < 5.12


def test_calls_with_many_inputs_are_fewer():
    one, many = on_l4(TEXTS), on_l4(DOCUMENTS)
    assert many.requests_per_second < one.requests_per_second / 90
    assert many.max_num_seqs == one.max_num_seqs


def test_a_call_that_takes_all_its_time_alone_is_seen():
    timing = timing_on_l4()
    alone = 100 * 400 * (timing.beta_ms + timing.gamma_ms) / 1000
    capacity = on_l4(replace(DOCUMENTS, answer_seconds=alone))
    assert capacity.lowest_ttft_seconds > alone


@given(slack=st.floats(0, 1e6), service=st.floats(0.01, 1e5), objective=st.floats(0.5, 0.9999))
def test_utilization_keeps_the_objective_and_grows_with_the_slack(
    slack: float, service: float, objective: float
):
    kept = utilization(slack, service, objective)
    assert 0 < kept <= 1
    assert kept * exp(-2 * (1 - kept) * slack / service) <= (1 - objective) * 1.0001
    assert utilization(slack * 2, service, objective) >= kept


@given(prompt=st.integers(1, 30_000), inputs=st.integers(1, 1000), seconds=st.floats(0.05, 60))
def test_never_more_than_the_steps_can_compute(prompt: int, inputs: int, seconds: float):
    capacity = on_l4(Calls(prompt, inputs, seconds, 0.99))
    timing = timing_on_l4()
    full = 2048 / prompt
    step_ms = timing.alpha_ms + full * prompt * (timing.beta_ms + timing.gamma_ms)
    assert 0 < capacity.requests_per_second * inputs <= full / step_ms * 1000 * 1.000001
    assert capacity.first_tokens > 0
    assert 1 <= capacity.max_num_seqs <= 256
