"""How many requests one replica should compute at once, and how many it can take: pure arithmetic.

Every number follows from the step time (sizing/capacity/timing.py: alpha, beta, gamma), the request shape
that the model is planned for, and its service level. One request of I prompt and O output tokens adds to a
step

    S = beta x (I + O) / (O + 1) + gamma x (I + O / 2) + sequence        milliseconds

because it is computed in O + 1 steps and its context is I + O / 2 tokens on average. A batch of B takes
alpha + experts x (1 - (1 - k / E) ^ B) + B x S per step, which is the mean time between two tokens
(sizing/capacity/steps.py). Without experts and sequence this is the queue model of llm-d's workload
variant autoscaler; its constants are fitted to measurements where they exist and estimated elsewhere.
Models that answer in one piece, without tokens, are in sizing/capacity/pooling.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from sizing.capacity.limits import default_running, default_step_tokens
from sizing.capacity.steps import ROOM_ABOVE_BATCH, batch_at, batch_of_share, step_seconds
from sizing.capacity.timing import Basis, StepTime, step_time
from sizing.fit.adapters import AdapterSlots
from sizing.fit.concurrency import pool_of
from sizing.fit.memory import Setting, memory_by_stage, setting
from sizing.fit.request import FitRequest
from sizing.hardware.accelerators import Accelerator
from sizing.models.models import Model

TARGET_UTILIZATION = 0.8
"""Share of the request rate at which the inter-token latency is just met that a replica is planned for. The
rest absorbs what arrives while another replica starts, and the errors of the step time (2 to 8 % where it is
measured, more where it is estimated). Published sweeps put the cheapest rule with 99 % attainment between
0.79 and 0.87."""


@dataclass(frozen=True)
class Requests:
    """The requests that a model is planned for, and the latencies that they are promised."""

    prompt_tokens: int
    output_tokens: int
    ttft_seconds: float
    itl_seconds: float


@dataclass(frozen=True)
class ReplicaCapacity:
    """What one replica takes.

    latency_batch: requests at once with which the mean time between tokens is the objective. memory_batch:
    whole requests (prompt and reply) that the KV cache holds. batch: the smaller of the two.
    max_num_seqs: requests that the engine computes at once; more wait. target_batch: requests in the system
    when the replica runs at TARGET_UTILIZATION. first_tokens: waiting requests to which a replica with free
    slots gives their first token within the objective. requests_per_second: at the batch; planned_rate: at
    the target. lowest_itl_seconds, lowest_ttft_seconds: of a request that is alone. basis, source: of the
    step time. target_batch and lowest_itl_seconds are None for models that answer in one piece.
    """

    latency_batch: float
    memory_batch: float
    max_num_seqs: int
    target_batch: float | None
    first_tokens: float
    requests_per_second: float
    lowest_itl_seconds: float | None
    lowest_ttft_seconds: float
    basis: Basis
    source: str

    @property
    def batch(self) -> float:
        return min(self.latency_batch, self.memory_batch)

    @property
    def planned_rate(self) -> float:
        return TARGET_UTILIZATION * self.requests_per_second


def memory_batch(
    model: Model,
    accelerator: Accelerator,
    precision: str,
    tensor_parallel: int,
    gpu_memory_utilization: float,
    tokens: int,
    adapters: AdapterSlots | None = None,
) -> float:
    """Requests of so many tokens each that the KV cache of one replica holds."""
    chosen = setting(
        FitRequest(
            model=model,
            accelerator=accelerator,
            tensor_parallel=tensor_parallel,
            quantization=precision,
            gpu_memory_utilization=gpu_memory_utilization,
            adapters=adapters,
        )
    )
    return requests_in_memory(chosen, tokens)


def replica_capacity(
    model: Model,
    accelerator: Accelerator,
    precision: str,
    tensor_parallel: int,
    gpu_memory_utilization: float,
    requests: Requests,
    max_num_seqs: int | None,
    adapters: AdapterSlots | None = None,
) -> ReplicaCapacity:
    """Capacity of one replica; `max_num_seqs` replaces the number that follows from the service level.

    adapters: what the engine keeps memory for.

    Batches are below 1, or even negative, where the hardware cannot meet the objective with a single request:
    stacks.validate refuses that.
    """
    timing = step_time(model, accelerator, precision, tensor_parallel)
    step_tokens = default_step_tokens(accelerator)
    latency_batch = batch_at(timing, requests.itl_seconds, requests)
    tokens = requests.prompt_tokens + requests.output_tokens
    in_memory = memory_batch(
        model, accelerator, precision, tensor_parallel, gpu_memory_utilization, tokens, adapters
    )
    batch = max(1.0, min(latency_batch, in_memory))
    # No more than the engine's own default: nothing larger was measured, and its memory is known up to there.
    slots = min(default_running(accelerator), max(1, floor(ROOM_ABOVE_BATCH * batch)))
    if max_num_seqs is not None:
        slots = max_num_seqs
    computed = min(batch, slots)
    return ReplicaCapacity(
        latency_batch=latency_batch,
        memory_batch=in_memory,
        max_num_seqs=slots,
        target_batch=batch_of_share(timing, computed, requests, TARGET_UTILIZATION),
        first_tokens=min(slots, first_tokens(timing, step_tokens, requests)),
        requests_per_second=computed / (requests.output_tokens * step_seconds(timing, computed, requests)),
        lowest_itl_seconds=step_seconds(timing, 1, requests),
        lowest_ttft_seconds=(
            timing.request_ms
            + timing.read_ms(requests.prompt_tokens)
            + timing.prompt_token_ms * requests.prompt_tokens
            + timing.sequence_ms
        )
        / 1000,
        basis=timing.basis,
        source=timing.source,
    )


def requests_in_memory(chosen: Setting, tokens: int) -> float:
    """Requests of this many tokens that the KV cache of a replica holds."""
    pools = [pool_of(chosen, memory) for memory in memory_by_stage(chosen)]
    return min(pool.concurrency(tokens) for pool in pools)


def first_tokens(timing: StepTime, step_tokens: int, requests: Requests) -> float:
    """Requests that a replica with free slots prefills within the objective for the first token.

    Prompts are computed in chunks of `step_tokens` per step; what is left of the objective after the
    request's own overhead is filled with such steps.
    """
    budget_ms = requests.ttft_seconds * 1000 - timing.request_ms
    prompts_per_step = step_tokens / requests.prompt_tokens
    full_step_ms = timing.full_read_ms + timing.prompt_token_ms * step_tokens
    return budget_ms / full_step_ms * prompts_per_step
