from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.capacity.batch import (
    TARGET_UTILIZATION,
    ReplicaCapacity,
    Requests,
    batch_at,
    first_tokens,
    replica_capacity,
    step_seconds,
)
from sizing.capacity.steps import batch_of_share
from sizing.capacity.timing import StepTime
from sizing.fit.adapters import AdapterSlots
from sizing.hardware.accelerators import accelerator
from sizing.models.models import model

LLAMA = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
CONVERSATION = Requests(prompt_tokens=1155, output_tokens=211, ttft_seconds=2.0, itl_seconds=0.05)
CODE = Requests(prompt_tokens=2048, output_tokens=28, ttft_seconds=2.0, itl_seconds=0.05)
CHAT = Requests(prompt_tokens=1200, output_tokens=200, ttft_seconds=1.0, itl_seconds=0.05)


def on_h100s(requests: Requests) -> ReplicaCapacity:
    return replica_capacity(model(LLAMA), accelerator("nvidia-h100-80gb"), "fp8", 4, 0.92, requests, None)


def on_l4(
    requests: Requests = CHAT, utilization: float = 0.92, max_num_seqs: int | None = None
) -> ReplicaCapacity:
    return replica_capacity(
        model("Qwen/Qwen3-8B"), accelerator("nvidia-l4"), "fp8", 1, utilization, requests, max_num_seqs
    )


def test_the_batch_is_what_others_computed_from_the_same_measurements():
    # Published for this model on 4 x H100 at 50 ms per token: B* 119 at 11.3 requests/s, and 12 at 8.2. Their
    # form has no time per sequence, which large batches have more of than small ones: ours is 12.8 at 8.8.
    assert on_h100s(CONVERSATION).latency_batch == pytest.approx(119, rel=0.03)
    assert on_h100s(CONVERSATION).requests_per_second == pytest.approx(11.3, rel=0.03)
    assert on_h100s(CODE).latency_batch == pytest.approx(12, rel=0.08)
    assert on_h100s(CODE).requests_per_second == pytest.approx(8.2, rel=0.08)
    assert on_h100s(CODE).basis == "measured"


def test_by_hand_on_an_l4():
    capacity = on_l4()
    # S = 0.1202 x 1400 / 201 + 5.868e-4 x 1300 + 0.05 = 1.650 ms; (50 - 30.43) / 1.650 = 11.86.
    assert capacity.latency_batch == pytest.approx(11.86, rel=0.01)
    assert capacity.max_num_seqs == 13
    # A step of 2048 tokens takes 276 ms and holds 1.7 prompts: 969 ms of budget are 3.5 steps.
    assert capacity.first_tokens == pytest.approx(5.98, rel=0.01)
    assert capacity.requests_per_second == pytest.approx(11.86 / (200 * 0.05), rel=0.01)
    assert capacity.basis == "estimated"


def test_the_target_gives_the_target_share_of_the_rate():
    timing = StepTime(11.0, 0.0445, 2.8e-5, "measured", "test")
    batch = batch_at(timing, 0.05, CONVERSATION)
    target = batch_of_share(timing, batch, CONVERSATION, TARGET_UTILIZATION)

    def rate(size: float) -> float:
        return size / step_seconds(timing, size, CONVERSATION)

    assert rate(target) == pytest.approx(TARGET_UTILIZATION * rate(batch))
    assert 0.45 < target / batch < 0.55


def test_a_small_cache_bounds_the_batch():
    capacity = on_l4(utilization=0.6)
    assert capacity.batch == capacity.memory_batch < capacity.latency_batch
    assert capacity.max_num_seqs <= 1.2 * capacity.memory_batch


def test_what_is_kept_for_adapters_holds_no_requests():
    options = (model("Qwen/Qwen3-8B"), accelerator("nvidia-l4"), "fp8", 1, 0.92, CHAT, None)
    without, kept = replica_capacity(*options), replica_capacity(*options, AdapterSlots(8, 64))
    # 8 slots at 4 times the rank of what vLLM 0.32 allocates for one of 16, and 144 KiB per token.
    fewer = 8 * 4 * 97_280_000 / (147_456 * 1400)
    assert without.memory_batch - kept.memory_batch == pytest.approx(fewer, rel=0.01)


def test_a_given_batch_bounds_everything_that_follows():
    capacity = on_l4(max_num_seqs=4)
    assert capacity.max_num_seqs == 4
    assert capacity.target_batch is not None
    assert capacity.target_batch < 4
    assert capacity.first_tokens == 4
    assert capacity.requests_per_second < on_l4().requests_per_second


def test_an_objective_that_one_request_breaks_gives_a_batch_below_one():
    hasty = Requests(prompt_tokens=1200, output_tokens=200, ttft_seconds=1.0, itl_seconds=0.02)
    assert on_l4(hasty).latency_batch < 1
    assert on_l4(hasty).max_num_seqs == 1


@given(
    prompt=st.integers(1, 8000),
    output=st.integers(1, 4000),
    itl=st.floats(0.035, 0.5),
    ttft=st.floats(0.2, 20),
)
def test_numbers_are_positive_and_ordered(prompt: int, output: int, itl: float, ttft: float):
    capacity = on_l4(Requests(prompt, output, ttft, itl))
    assert capacity.target_batch is not None
    assert 0 < capacity.target_batch <= capacity.max_num_seqs
    assert capacity.planned_rate < capacity.requests_per_second
    assert capacity.first_tokens <= capacity.max_num_seqs
    if capacity.batch >= 1:
        assert capacity.max_num_seqs <= 1.2 * capacity.batch


def test_a_longer_budget_admits_more():
    timing = StepTime(30.0, 0.12, 6e-4, "estimated", "test", request_ms=31.0)
    admitted = [first_tokens(timing, 2048, Requests(1200, 200, seconds, 0.05)) for seconds in (0.5, 1.0, 2.0)]
    assert admitted == sorted(admitted)
