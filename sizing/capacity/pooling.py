"""What one replica takes of a model that answers in one piece: it embeds or ranks, and generates nothing.

A call brings k inputs of I tokens: texts, or documents with their query. The engine computes each input in
one step, together with others, as many as a step has tokens for. With the step time of
sizing/capacity/timing.py, a step of B inputs takes

    alpha + B x S,  S = (beta + gamma) x I        milliseconds

so a replica computes B / (alpha + B x S) inputs per millisecond and is, for calls, a queue with one server
whose service takes k x S and its share of alpha. How long calls wait there grows with the utilization u:

    P(wait > t) = u x exp(-2 (1 - u) t / service)

the heavy-traffic form for a constant service time (M/D/1). The emulator's scheduler, asked with Poisson
arrivals at u = 0.8, I of 100 to 2,000 and k of 1 to 100, had 99 % of the calls answered within 4 to 16 times
what a call takes alone; the formula says after a wait of 11 times its service.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp

from sizing.capacity.batch import ReplicaCapacity, memory_batch
from sizing.capacity.limits import default_running, default_step_tokens
from sizing.capacity.steps import ROOM_ABOVE_BATCH
from sizing.capacity.timing import step_time
from sizing.hardware.accelerators import Accelerator
from sizing.models.models import Model

BISECTIONS = 40


@dataclass(frozen=True)
class Calls:
    """The calls that a model is planned for, and when they are to be answered.

    prompt_tokens: of one input. inputs: of one call. answer_seconds, objective: the promise, and the share of
    calls that must keep it.
    """

    prompt_tokens: int
    inputs: int
    answer_seconds: float
    objective: float


def answering_capacity(
    model: Model,
    accelerator: Accelerator,
    precision: str,
    tensor_parallel: int,
    gpu_memory_utilization: float,
    calls: Calls,
    max_num_seqs: int | None,
) -> ReplicaCapacity:
    """Capacity of one replica; `max_num_seqs` replaces the number that follows from the promise.

    Batches, places and what waits are in inputs, as the engine counts them; requests_per_second is in calls:
    the rate at which the promise is just kept.
    """
    timing = step_time(model, accelerator, precision, tensor_parallel)
    step_tokens = default_step_tokens(accelerator)
    each_ms = (timing.beta_ms + timing.gamma_ms) * calls.prompt_tokens
    budget_ms = calls.answer_seconds * 1000 - timing.request_ms
    # Two steps within the promise: the one that runs when an input arrives, and its own.
    latency_batch = min((budget_ms / 2 - timing.full_read_ms) / each_ms, step_tokens / calls.prompt_tokens)
    in_memory = memory_batch(
        model, accelerator, precision, tensor_parallel, gpu_memory_utilization, calls.prompt_tokens
    )
    # One input, or of a long one what a step holds of it.
    least = min(1.0, step_tokens / calls.prompt_tokens)
    batch = max(least, min(latency_batch, in_memory))
    if max_num_seqs is None:
        # The last input of a step is often a part of one. No more than the engine's own default, which its
        # largest batch is built for.
        max_num_seqs = min(default_running(accelerator), ceil(ROOM_ABOVE_BATCH * batch) + 1)
    batch = min(batch, max_num_seqs)
    step_ms = timing.full_read_ms + batch * each_ms
    alone_ms = timing.full_read_ms * ceil(max(calls.inputs / batch, 1)) + calls.inputs * each_ms
    service_ms = step_ms / batch * calls.inputs
    kept = utilization(budget_ms - alone_ms - step_ms, service_ms, calls.objective)
    return ReplicaCapacity(
        latency_batch=latency_batch,
        memory_batch=in_memory,
        max_num_seqs=max_num_seqs,
        target_batch=None,
        first_tokens=max(least, budget_ms / step_ms * batch),
        requests_per_second=kept * 1000 / service_ms,
        lowest_itl_seconds=None,
        lowest_ttft_seconds=(timing.request_ms + alone_ms) / 1000,
        basis=timing.basis,
        source=timing.source,
    )


def utilization(slack_ms: float, service_ms: float, objective: float) -> float:
    """The highest at which calls wait longer than `slack_ms` no more often than the objective allows."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        late = middle * exp(-2 * (1 - middle) * max(slack_ms, 0.0) / service_ms)
        low, high = (middle, high) if late <= 1 - objective else (low, middle)
    return low
