from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.engine.replay import Load, replay
from local.engine.scheduler import Limits
from sizing.capacity.timing import StepTime, step_time
from sizing.hardware.accelerators import accelerator
from sizing.models.models import model

TIMING = StepTime(10.0, 0.05, 1e-4, "estimated", "test")


def limits(blocks: int = 100_000, max_running: int = 1024) -> Limits:
    return Limits(max_running, 8192, blocks, 16, prefix_caching=False)


def test_a_single_caller_gets_the_time_of_each_step():
    latency = replay(Load(1000, 11, 1, rounds=3), limits(), TIMING)
    assert latency.ttft == pytest.approx((10 + 0.05 * 1000 + 1e-4 * 1000) / 1000)
    contexts = [1000 + token for token in range(1, 11)]
    assert latency.tpot == pytest.approx((10 + 0.05 + 1e-4 * sum(contexts) / 10) / 1000)


@settings(max_examples=15, deadline=None)
@given(concurrency=st.integers(1, 40), prompt=st.integers(1, 2000), output=st.integers(2, 60))
def test_littles_law_holds(concurrency: int, prompt: int, output: int):
    load = Load(prompt, output, concurrency, rounds=6)
    latency = replay(load, limits(), TIMING)
    resident = latency.ttft + latency.tpot * (output - 1)
    # In a closed loop the mean number in the system is the number of callers, less the ends of the run, where
    # the first round is cut short and the last one runs out.
    assert latency.requests == 6 * concurrency
    in_system = latency.requests / latency.duration * resident
    assert concurrency * 0.75 <= in_system <= concurrency * 1.001


def test_more_callers_than_the_batch_wait_for_a_place():
    free = replay(Load(100, 50, 32, rounds=2), limits(), TIMING)
    crowded = replay(Load(100, 50, 32, rounds=2), limits(max_running=8), TIMING)
    assert crowded.ttft > 5 * free.ttft
    assert crowded.tpot < free.tpot


def test_little_memory_makes_requests_wait_rather_than_fail():
    crowded = replay(Load(160, 50, 32, rounds=2), limits(blocks=50), TIMING)
    free = replay(Load(160, 50, 32, rounds=2), limits(), TIMING)
    assert crowded.requests == free.requests == 64
    assert crowded.duration > free.duration


def test_a_saturated_replica_answers_as_many_requests_as_one_was_seen_to():
    """llm-d's guide saw 1.4 to 1.5 requests a second from Qwen3-32B on two H100s: 4000 prompt and 1000 output
    tokens, 350,000 tokens of cache. The measurements behind the constants are somebody else's."""
    timing = step_time(model("Qwen/Qwen3-32B"), accelerator("nvidia-h100-80gb"), "bf16", 2)
    assert timing.basis == "measured"
    saturated = replay(Load(4000, 1000, 100, rounds=8), limits(blocks=350_000 // 16), timing)
    # The first round's replies are cut to half their length on average.
    answered = saturated.requests + 100 / 2
    assert answered / saturated.duration == pytest.approx(1.40, rel=0.1)
