"""What is planned for embedding and reranking models, replayed on the emulator's scheduler."""

from __future__ import annotations

import random

import pytest

from local.engine.scheduler import Limits, Scheduler, Sequence
from sizing.capacity.batch import TARGET_UTILIZATION, ReplicaCapacity
from sizing.capacity.limits import default_step_tokens
from sizing.capacity.pooling import Calls
from sizing.capacity.timing import StepTime
from tests.sizing.capacity.test_pooling import L4, on_l4, timing_on_l4


@pytest.mark.parametrize(("prompt", "inputs"), [(100, 10), (400, 1), (400, 100), (2000, 1)])
def test_the_emulated_engine_keeps_the_promise_at_the_planned_rate(prompt: int, inputs: int):
    timing = timing_on_l4()
    alone = inputs * prompt * (timing.beta_ms + timing.gamma_ms) / 1000
    calls = Calls(prompt, inputs, max(0.5, 8 * alone), 0.95)
    capacity = on_l4(calls)
    waits = replayed(calls, capacity, timing, calls_count=3000 // inputs + 200)
    kept = sum(wait <= calls.answer_seconds for wait in waits) / len(waits)
    assert kept > 0.95


def replayed(calls: Calls, capacity: ReplicaCapacity, timing: StepTime, calls_count: int) -> list[float]:
    """Seconds until each call was answered.

    Arrivals are Poisson, lengths spread by half of their mean.
    """
    rng = random.Random(1)
    rate = TARGET_UTILIZATION * capacity.requests_per_second
    scheduler = Scheduler(Limits(capacity.max_num_seqs, default_step_tokens(L4), 200_000, 16, False))
    arrivals = [0.0]
    for _ in range(calls_count):
        arrivals.append(arrivals[-1] + rng.expovariate(rate))
    call_of: dict[Sequence, int] = {}
    left = dict.fromkeys(range(len(arrivals)), calls.inputs)
    waits: list[float] = []
    now, following = 0.0, 0
    while len(waits) < len(arrivals):
        while following < len(arrivals) and arrivals[following] <= now:
            for _ in range(calls.inputs):
                # The mean of this distribution is exp(0.5 x 0.47 x 0.47) = 1.117 times its median.
                tokens = int(rng.lognormvariate(0, 0.47) * calls.prompt_tokens / 1.117)
                sequence = Sequence(max(1, tokens), 0, [])
                call_of[sequence] = following
                scheduler.add(sequence)
            following += 1
        if not scheduler.has_work:
            now = arrivals[following]
            continue
        step = scheduler.schedule()
        now += timing.seconds(step.computed_tokens, step.context_tokens, len(step.work))
        for sequence in scheduler.complete(step).finished:
            call = call_of.pop(sequence)
            left[call] -= 1
            if left[call] == 0:
                waits.append(now - arrivals[call] + timing.request_ms / 1000)
    return waits
