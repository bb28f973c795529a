"""One replica of each Deployment, as the engine is started with it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from infra.scheduling import NodePool
from serving.replica import Adapter, Replica
from serving.weights.sources import Weights, parse
from sizing.capacity.limits import default_step_tokens
from sizing.capacity.timing import step_time
from stacks.plan.chat import chat_format_of
from stacks.plan.sizing import Sized, itl_seconds, precision_of

STEP_MARGIN = 10
"""How many times longer than computed its slowest step may take before an engine counts as stuck: step times
that are estimated may be off by a third, and a step that compiles a shape first takes much longer."""

LEAST_STUCK_SECONDS = 120
"""Whatever the steps take: above what vLLM spends on a first request of a new shape."""


def replica(sized: Sized, pool: NodePool, served_names: Sequence[str]) -> Replica:
    """One replica on a machine of `pool`, answering to these names."""
    model = sized.section
    return Replica(
        name=model.name,
        engine=model.engine,
        served_names=tuple(served_names),
        task=model.task,
        model=sized.facts,
        weights=Weights(served_names[0], parse(model.weights, model.model, model.revision)),
        adapters=tuple(
            Adapter(adapter.name, adapter.source, adapter.revision, adapter.rank)
            for adapter in model.adapters
        ),
        tensor_parallel=model.tensor_parallel,
        quantization=model.quantization,
        max_model_len=model.max_model_len,
        max_output_tokens=model.max_output_tokens,
        max_num_seqs=sized.capacity.max_num_seqs,
        max_queued_requests=model.max_queued_requests,
        gpu_memory_utilization=model.gpu_memory_utilization,
        drain_seconds=model.drain_seconds,
        ttft_seconds=model.slo.ttft.seconds,
        itl_seconds=itl_seconds(model),
        share=pool.share(model.tensor_parallel),
        chat=chat_format_of(model, sized.facts),
        allowed_media_domains=model.allowed_media_domains,
        stuck_after_seconds=stuck_after_seconds(sized),
    )


def stuck_after_seconds(sized: Sized) -> int:
    """For how long an engine that has requests may compute no prompt and no token.

    vLLM counts a prompt when all of it is computed, so the longest silence of an engine that works is the
    longest prompt, in steps that are full and read a full KV cache.
    """
    model = sized.section
    timing = step_time(sized.facts, sized.gpu, precision_of(model, sized.facts), model.tensor_parallel)
    step_tokens = default_step_tokens(sized.gpu)
    load = model.expected_load
    cached = sized.capacity.memory_batch * (load.prompt_tokens + load.output_tokens)
    slowest = timing.seconds(step_tokens, ceil(cached), sized.capacity.max_num_seqs)
    longest_prompt = ceil(model.max_model_len / step_tokens) * slowest
    return max(LEAST_STUCK_SECONDS, ceil(STEP_MARGIN * longest_prompt))
