"""How many requests one replica should compute at once, and how many it can take: pure arithmetic.

Every number follows from the step time (serving/timing.py: alpha, beta, gamma), the request shape that the
model is planned for, and its service level. One request of I prompt and O output tokens adds to a step

    S = beta x (I + O) / (O + 1) + gamma x (I + O / 2)        milliseconds

because it is computed in O + 1 steps and its context is I + O / 2 tokens on average. A batch of B takes
alpha + B x S per step, which is the mean time between two tokens. This is the queue model of llm-d's workload
variant autoscaler; its constants are fitted to measurements where they exist and estimated elsewhere.

An embedding or a score is a request without output, O = 0: the formula gives the one step in which its prompt
is computed. It has no time between tokens; what bounds its batch is that two steps must fit into the
objective for the answer, the one that runs when the request arrives and its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from infra.accelerators import Accelerator
from serving.fit.concurrency import pool_of
from serving.fit.memory import memory_by_stage, setting
from serving.fit.request import FitRequest
from serving.limits import default_running, default_step_tokens
from serving.models import Model
from serving.steps import ROOM_ABOVE_BATCH, batch_at, step_seconds, step_share_ms
from serving.timing import Basis, StepTime, step_time

TARGET_UTILIZATION = 0.8
"""Share of the request rate at which the inter-token latency is just met that a replica is planned for. The
rest absorbs what arrives while another replica starts, and the errors of the step time (2 to 8 % where it is
measured, more where it is estimated). Published sweeps put the cheapest rule with 99 % attainment between
0.79 and 0.87."""


@dataclass(frozen=True)
class Requests:
    """The requests that a model is planned for, and the latencies that they are promised.

    output_tokens: 0 for embeddings and scores, which then have no itl_seconds and whose ttft_seconds is the
    time to the answer.
    """

    prompt_tokens: int
    output_tokens: int
    ttft_seconds: float
    itl_seconds: float | None

    @property
    def steps(self) -> int:
        """Steps that a request stays in the batch for."""
        return max(1, self.output_tokens)


@dataclass(frozen=True)
class ReplicaCapacity:
    """What one replica takes.

    latency_batch: requests at once with which the mean time between tokens is the objective; without output,
    those with which two steps take as long as the answer may, and no more than the tokens of one step hold.
    memory_batch: whole requests (prompt and reply) that the KV cache holds. batch: the smaller of the two.
    max_num_seqs: requests that the engine computes at once; more wait. target_batch: requests in the system
    when the replica runs at TARGET_UTILIZATION. first_tokens: waiting requests to which a replica with free
    slots gives their first token within the objective. requests_per_second: at the batch; planned_rate: at
    the target. lowest_itl_seconds, lowest_ttft_seconds: of a request that is alone; None without output.
    basis, source: of the step time.
    """

    latency_batch: float
    memory_batch: float
    max_num_seqs: int
    target_batch: float
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


def replica_capacity(
    model: Model,
    accelerator: Accelerator,
    precision: str,
    tensor_parallel: int,
    gpu_memory_utilization: float,
    requests: Requests,
    max_num_seqs: int | None,
) -> ReplicaCapacity:
    """Capacity of one replica; `max_num_seqs` replaces the number that follows from the service level.

    Batches are below 1, or even negative, where the hardware cannot meet the objective with a single request:
    stacks.checks refuses that.
    """
    timing = step_time(model, accelerator, precision, tensor_parallel)
    step_tokens = default_step_tokens(accelerator)
    latency_batch = _latency_batch(timing, step_tokens, requests)
    chosen = setting(
        FitRequest(
            model=model,
            accelerator=accelerator,
            tensor_parallel=tensor_parallel,
            quantization=precision,
            gpu_memory_utilization=gpu_memory_utilization,
        )
    )
    pools = [pool_of(chosen, memory) for memory in memory_by_stage(chosen)]
    memory_batch = min(pool.concurrency(requests.prompt_tokens + requests.output_tokens) for pool in pools)
    batch = max(_least_batch(step_tokens, requests), min(latency_batch, memory_batch))
    slots = _slots(batch, accelerator, requests) if max_num_seqs is None else max_num_seqs
    computed = min(batch, slots)
    return ReplicaCapacity(
        latency_batch=latency_batch,
        memory_batch=memory_batch,
        max_num_seqs=slots,
        target_batch=batch_at_share(timing, computed, requests),
        first_tokens=_first_tokens(slots, timing, step_tokens, requests),
        requests_per_second=computed / (requests.steps * step_seconds(timing, computed, requests)),
        lowest_itl_seconds=None if requests.itl_seconds is None else step_seconds(timing, 1, requests),
        lowest_ttft_seconds=(timing.request_ms + timing.alpha_ms + timing.beta_ms * requests.prompt_tokens)
        / 1000,
        basis=timing.basis,
        source=timing.source,
    )


def _latency_batch(timing: StepTime, step_tokens: int, requests: Requests) -> float:
    if requests.itl_seconds is not None:
        return batch_at(timing, requests.itl_seconds, requests)
    each_step = (requests.ttft_seconds - timing.request_ms / 1000) / 2
    return min(batch_at(timing, each_step, requests), step_tokens / requests.prompt_tokens)


def _least_batch(step_tokens: int, requests: Requests) -> float:
    """One request, or of a long prompt without output what one step holds of it."""
    return 1.0 if requests.output_tokens else min(1.0, step_tokens / requests.prompt_tokens)


def _slots(batch: float, accelerator: Accelerator, requests: Requests) -> int:
    """For --max-num-seqs. The last prompt of a step is often a part of one, so that without output it is
    rounded up; and no more than the engine's default, which its largest batch is built for."""
    if requests.output_tokens:
        return max(1, floor(ROOM_ABOVE_BATCH * batch))
    return min(default_running(accelerator), ceil(ROOM_ABOVE_BATCH * batch) + 1)


def _first_tokens(slots: int, timing: StepTime, step_tokens: int, requests: Requests) -> float:
    """With output, requests keep their slots after the first token, and no more than those can start."""
    found = first_tokens(timing, step_tokens, requests)
    return min(slots, found) if requests.output_tokens else found


def batch_at_share(timing: StepTime, batch: float, requests: Requests) -> float:
    """The batch at TARGET_UTILIZATION of the request rate that `batch` gives.

    The rate of a batch b is b / (O x (alpha + b S)). Steps get shorter with a smaller batch, so 80 % of the
    rate takes less than 80 % of the batch: solving rate(b) = u x rate(B) gives
    b = u B alpha / (alpha + (1 - u) B S). 0.45 to 0.75 of B for the shipped hardware.
    """
    reached = TARGET_UTILIZATION * batch * timing.alpha_ms
    return reached / (timing.alpha_ms + (1 - TARGET_UTILIZATION) * batch * step_share_ms(timing, requests))


def first_tokens(timing: StepTime, step_tokens: int, requests: Requests) -> float:
    """Requests that a replica with free slots prefills within the objective for the first token.

    Prompts are computed in chunks of `step_tokens` per step; what is left of the objective after the
    request's own overhead is filled with such steps.
    """
    budget_ms = requests.ttft_seconds * 1000 - timing.request_ms
    prompts_per_step = step_tokens / requests.prompt_tokens
    full_step_ms = timing.alpha_ms + timing.beta_ms * step_tokens
    return budget_ms / full_step_ms * prompts_per_step
