"""What the sections of a stack file mean to infra/ and serving/: one object there for each section here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from dashboards.boards.scaling import BoardModel
from dashboards.rules import InFlight, ScaledModel, Throughput
from infra.scheduling import NodePool
from serving.gateway.rate_limit import Rate, RateLimits
from serving.gateway.served import CanaryRoute, ServedModel, engine_names
from serving.replica import Adapter, Replica
from serving.scaling import ScalingBounds
from serving.weights.sources import Weights, parse
from sizing.capacity.batch import ReplicaCapacity
from sizing.capacity.limits import default_step_tokens
from sizing.capacity.timing import step_time
from sizing.hardware.accelerators import accelerator
from sizing.packing import machines_needed
from stacks.config import Model, Stack
from stacks.config import NodePool as PoolSection
from stacks.config.gateway import RateLimit as RateLimitSection
from stacks.plan import machine_for
from stacks.plan.canary import canary_name, deployed
from stacks.plan.catalogue import pool_machines, sold
from stacks.plan.chat import chat_format_of
from stacks.plan.sizing import capacity_of, facts_of, itl_seconds


def node_pool(pool: PoolSection, stack: Stack) -> NodePool:
    """The pool that this section of `stack` describes."""
    return NodePool(
        name=pool.name,
        accelerator=accelerator(pool.accelerator),
        machines=tuple(pool_machines(pool, stack)),
        capacity=sold(pool, stack.cluster),
        min_nodes=pool.min_nodes,
        max_nodes=pool.max_nodes,
        disk_gib=pool.disk_gib,
        scale_down_after_seconds=pool.scale_down_after_seconds,
    )


def replica(model: Model, pool: NodePool, served_names: Sequence[str]) -> Replica:
    """One replica of `model`, which may be a canary, on a machine of `pool`."""
    return Replica(
        name=model.name,
        served_names=tuple(served_names),
        task=model.task,
        model=facts_of(model),
        weights=Weights(served_names[0], parse(model.weights, model.model, model.revision)),
        adapters=tuple(
            Adapter(adapter.name, adapter.source, adapter.revision, adapter.rank)
            for adapter in model.adapters
        ),
        tensor_parallel=model.tensor_parallel,
        quantization=model.quantization,
        max_model_len=model.max_model_len,
        max_output_tokens=model.max_output_tokens,
        max_num_seqs=capacity_of(model, pool.accelerator.name).max_num_seqs,
        max_queued_requests=model.max_queued_requests,
        gpu_memory_utilization=model.gpu_memory_utilization,
        drain_seconds=model.drain_seconds,
        ttft_seconds=model.slo.ttft.seconds,
        itl_seconds=itl_seconds(model),
        share=pool.share(model.tensor_parallel),
        chat=chat_format_of(model, facts_of(model)),
        allowed_media_domains=model.allowed_media_domains,
        stuck_after_seconds=stuck_after_seconds(model, pool),
    )


STEP_MARGIN = 10
"""How many times longer than computed its slowest step may take before an engine counts as stuck: step times
that are estimated may be off by a third, and a step that compiles a shape first takes much longer."""

LEAST_STUCK_SECONDS = 120
"""Whatever the steps take: above what vLLM spends on a first request of a new shape."""


def stuck_after_seconds(model: Model, pool: NodePool) -> int:
    """For how long an engine that has requests may compute no prompt and no token.

    vLLM counts a prompt when all of it is computed, so the longest silence of an engine that works is the
    longest prompt, in steps that are full and read a full KV cache.
    """
    facts, gpu = facts_of(model), pool.accelerator
    precision = facts.checkpoint if model.quantization is None else model.quantization
    timing = step_time(facts, gpu, precision, model.tensor_parallel)
    step_tokens = default_step_tokens(gpu)
    load = model.expected_load
    cached = capacity_of(model, gpu.name).memory_batch * (load.prompt_tokens + load.output_tokens)
    slowest = timing.seconds(step_tokens, ceil(cached))
    longest_prompt = ceil(model.max_model_len / step_tokens) * slowest
    return max(LEAST_STUCK_SECONDS, ceil(STEP_MARGIN * longest_prompt))


GATEWAY_IMBALANCE = 1.5
"""How much more than its share of a model's requests one gateway pod may hold: which pod a request meets
is up to the clients' connections."""


def served_models(stack: Stack) -> tuple[ServedModel, ...]:
    """The models of a checked stack as clients see them."""
    return tuple(
        ServedModel(
            name=model.name,
            task=model.task,
            aliases=model.aliases,
            adapters=tuple(adapter.name for adapter in model.adapters),
            canary=None
            if model.canary is None
            else CanaryRoute(service=canary_name(model), weight=model.canary.weight),
            fallback=model.fallback,
            max_in_flight=_max_in_flight(model, stack),
            most_sequences=capacity_of(model, stack.pool(model.node_pool).accelerator).max_num_seqs
            + model.max_queued_requests,
            first_byte_seconds=first_byte_seconds(model, stack),
            team_share=stack.gateway.rate_limit.share_of_model,
            max_model_len=model.max_model_len,
            root=model.model,
            adapter_roots={adapter.name: adapter.source for adapter in model.adapters},
        )
        for model in stack.models
    )


def rate_limits(section: RateLimitSection) -> RateLimits:
    return RateLimits(
        common=Rate(section.requests_per_second, section.burst),
        teams={team: Rate(rate.requests_per_second, rate.burst) for team, rate in section.teams.items()},
    )


def served_names(stack: Stack) -> Mapping[str, tuple[str, ...]]:
    """What the engines of each Deployment answer to; a canary answers as its model does."""
    models = served_models(stack)
    names = {model.name: tuple(engine_names(model, models)) for model in models}
    canaries = {model.canary.service: names[model.name] for model in models if model.canary is not None}
    return {**names, **canaries}


def _max_in_flight(model: Model, stack: Stack) -> int:
    """What the model's replicas can compute and queue at most, or a gateway pod's share of it.

    More could only wait for a refusal: the engines' queues are full by then.
    """
    capacity = capacity_of(model, stack.pool(model.node_pool).accelerator)
    all_replicas = model.replicas.max * (capacity.max_num_seqs + model.max_queued_requests)
    return min(all_replicas, ceil(all_replicas * GATEWAY_IMBALANCE / stack.gateway.replicas))


PATIENCE = 2
"""How much longer than planned the slowest request may take before its replica counts as stuck."""

LEAST_PATIENCE_SECONDS = 60
"""Of models whose longest request takes seconds: above what a replica needs to compile a new shape."""


def first_byte_seconds(model: Model, stack: Stack) -> int:
    """How long a replica that works may take for the first byte of an answer.

    An answer that is not streamed has its first byte at its end, so this is the longest reply, after as many
    rounds of such replies as the queue holds, each token as late as promised. A model that generates nothing
    computes all that it may hold, each input as long as it may be, at the rate that it is planned for.
    """
    capacity = capacity_of(model, stack.pool(model.node_pool).accelerator)
    held = capacity.max_num_seqs + model.max_queued_requests
    between = itl_seconds(model)
    if between is None:
        load = model.expected_load
        per_second = capacity.requests_per_second * load.inputs * load.prompt_tokens
        planned = held * model.max_model_len / per_second
    else:
        longest = model.max_model_len if model.max_output_tokens is None else model.max_output_tokens
        planned = held / capacity.max_num_seqs * (longest * between + model.slo.ttft.seconds)
    return max(LEAST_PATIENCE_SECONDS, ceil(PATIENCE * planned))


def scaling_bounds(model: Model) -> ScalingBounds:
    """How far and how fast `model` scales."""
    return ScalingBounds(
        minimum=model.replicas.min,
        maximum=model.replicas.max,
        scale_down_stabilization_seconds=model.scale_down_stabilization_seconds,
        sleep_after_seconds=model.sleep_after_seconds,
    )


def scaled_model(model: Model, pool: NodePool, interval_seconds: int) -> ScaledModel:
    """What the recording rules of `model` on a machine of `pool` are made from."""
    capacity = capacity_of(model, pool.accelerator.name)
    return ScaledModel(
        name=model.name,
        engine=model.engine,
        ttft_seconds=model.slo.ttft.seconds,
        ttft_objective=model.slo.ttft.objective,
        max_num_seqs=capacity.max_num_seqs,
        target=_target(model, capacity),
        first_tokens=capacity.first_tokens,
        minimum=model.replicas.min,
        warm_replicas=model.warm_replicas,
        interval_seconds=interval_seconds,
    )


def _target(model: Model, capacity: ReplicaCapacity) -> InFlight | Throughput:
    """What the work rule aims at in one replica that has its planned rate."""
    if capacity.target_batch is not None:
        return InFlight(capacity.target_batch)
    load = model.expected_load
    return Throughput(capacity.planned_rate * load.inputs * load.prompt_tokens)


def board_model(model: Model) -> BoardModel:
    """`model` as the boards draw it."""
    return BoardModel(
        name=model.name,
        node_pool=model.node_pool,
        ttft_seconds=model.slo.ttft.seconds,
        max_replicas=model.replicas.max,
    )


def surge(model: Model, stack: Stack) -> int:
    """1 if the pool has room for one more replica of `model` with every model at its maximum, otherwise 0.

    A surge replica that finds no machine would hold up an update for ever.
    """
    pool = stack.pool(model.node_pool)
    served = [other for other in deployed(stack) if other.node_pool == pool.name]
    gpus = [other.tensor_parallel for other in served for _ in range(other.replicas.max)]
    per_machine = machine_for(pool, stack).accelerator_count
    return 1 if machines_needed([*gpus, model.tensor_parallel], per_machine) <= pool.max_nodes else 0
