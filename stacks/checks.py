"""Rules of a stack file that span several fields or need a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from infra.accelerators import ACCELERATORS
from infra.choices import valid_choices
from infra.machines import MACHINES, Machine, shapes_with
from serving.models import MODELS
from serving.models import Model as ModelFacts
from stacks.capacity import cheapest_machine, machines_needed
from stacks.config import LocalCluster, Model, NodePool, Stack
from stacks.problems import Problem
from stacks.sizing import capacity_of, replicas_idle


def check(stack: Stack) -> list[Problem]:
    """Every problem of a stack whose sections are each valid by themselves."""
    return list(_problems(stack))


def _problems(stack: Stack) -> Iterator[Problem]:
    yield from _duplicates("node_pools", [pool.name for pool in stack.node_pools], key=".name")
    yield from _duplicates("models", [model.name for model in stack.models], key=".name")
    for index, pool in enumerate(stack.node_pools):
        yield from _check_pool(f"node_pools[{index}]", pool)
        yield from _check_capacity(f"node_pools[{index}].capacity", pool, stack.cluster)
        yield from _check_room(f"node_pools[{index}]", pool, stack)
        yield from _check_warm_nodes(f"node_pools[{index}]", pool, stack)
    for index, model in enumerate(stack.models):
        yield from _check_model(f"models[{index}]", model, stack)


def _duplicates(path: str, values: Sequence[str], key: str = "") -> Iterator[Problem]:
    for index, value in enumerate(values):
        first = values.index(value)
        if first != index:
            place = f"{path}[{index}]{key}"
            yield Problem(place, f'"{value}" is already used by {path}[{first}]: choose another')


def _check_pool(path: str, pool: NodePool) -> Iterator[Problem]:
    yield from _duplicates(f"{path}.machine_types", pool.machine_types)
    if pool.min_nodes > pool.max_nodes:
        yield Problem(
            f"{path}.min_nodes",
            f"{pool.min_nodes} is above max_nodes {pool.max_nodes}: lower one or raise the other",
        )
    elif pool.min_nodes > 0:
        yield Problem(
            f"{path}.min_nodes",
            f"{pool.min_nodes} is not possible: Karpenter starts machines for pods only. Set 0; "
            "replicas.min of a model keeps machines running",
        )
    if pool.accelerator not in ACCELERATORS:
        choices = valid_choices(pool.accelerator, ACCELERATORS)
        yield Problem(f"{path}.accelerator", f'"{pool.accelerator}" is unknown: {choices}')
        return
    fitting = [machine.name for machine in shapes_with(pool.accelerator)]
    for index, name in enumerate(pool.machine_types):
        if name in fitting:
            continue
        known = MACHINES.get(name)
        reason = "is unknown" if known is None else f"carries {known.accelerator}"
        choices = valid_choices(name, fitting)
        yield Problem(
            f"{path}.machine_types[{index}]",
            f'"{name}" {reason}, and the pool is {pool.accelerator}: {choices}',
        )


def _check_capacity(path: str, pool: NodePool, cluster: LocalCluster) -> Iterator[Problem]:
    yield from _duplicates(path, pool.capacity)
    if set(pool.capacity) == {"reserved"}:
        yield Problem(
            path,
            f"only reserved is not possible: a {cluster.provider} cluster has no reservations. "
            "Add on-demand or spot",
        )


def _check_room(path: str, pool: NodePool, stack: Stack) -> Iterator[Problem]:
    """The pool must hold every model at its maximum, or scaling up ends in pods that wait for ever."""
    models = [model for model in stack.models if model.node_pool == pool.name]
    largest = max((model.tensor_parallel for model in models), default=0)
    machine = cheapest_machine(_machines(pool), gpus=largest)
    if machine is None:
        return
    replicas = [model.tensor_parallel for model in models for _ in range(model.replicas.max)]
    needed = machines_needed(replicas, machine.accelerator_count)
    if needed > pool.max_nodes:
        maxima = ", ".join(f"{model.name} {model.replicas.max}" for model in models)
        yield Problem(
            f"{path}.max_nodes",
            f"{pool.max_nodes} machines cannot hold all replicas at replicas.max ({maxima}): that takes "
            f"{needed} x {machine.name}. Raise max_nodes to {needed} or lower replicas.max",
        )


def _check_warm_nodes(path: str, pool: NodePool, stack: Stack) -> Iterator[Problem]:
    """Warm machines that the pool's limit never lets it buy would be paid for by nobody and missed by all."""
    models = [model for model in stack.models if model.node_pool == pool.name]
    largest = max((model.tensor_parallel for model in models), default=1)
    machine = cheapest_machine(_machines(pool), gpus=largest)
    if machine is None or pool.warm_nodes == 0:
        return
    replicas = [model.tensor_parallel for model in models for _ in range(replicas_idle(model))]
    in_use = machines_needed(replicas, machine.accelerator_count)
    if in_use + pool.warm_nodes > pool.max_nodes:
        yield Problem(
            f"{path}.warm_nodes",
            f"{pool.warm_nodes} warm machines and the {in_use} that models need without load are above "
            f"max_nodes {pool.max_nodes}: raise max_nodes to {in_use + pool.warm_nodes} or lower warm_nodes "
            f"to {max(pool.max_nodes - in_use, 0)}",
        )


def _check_model(path: str, model: Model, stack: Stack) -> Iterator[Problem]:
    if model.replicas.min > model.replicas.max:
        yield Problem(
            f"{path}.replicas.min",
            f"{model.replicas.min} is above replicas.max {model.replicas.max}: lower one or raise the other",
        )
    yield from _check_warm_replicas(f"{path}.warm_replicas", model)
    yield from _check_drain(f"{path}.drain_seconds", model)
    load = model.expected_load
    tokens = load.prompt_tokens + load.output_tokens
    if tokens > model.max_model_len:
        yield Problem(
            f"{path}.max_model_len",
            f"{model.max_model_len} is less than expected_load needs: {load.prompt_tokens} prompt_tokens + "
            f"{load.output_tokens} output_tokens = {tokens}",
        )
    pools = {pool.name: pool for pool in stack.node_pools}
    if model.node_pool not in pools:
        choices = valid_choices(model.node_pool, pools)
        yield Problem(
            f"{path}.node_pool",
            f'no pool is called "{model.node_pool}": {choices}. Name one of them or add it under node_pools',
        )
    facts = MODELS.get(model.model)
    if facts is None:
        yield Problem(
            f"{path}.model",
            f'"{model.model}" is unknown: {valid_choices(model.model, MODELS)}. To serve another, add its '
            "row to serving/data/models.yaml: memory, disk and start-up time depend on it",
        )
        return
    problems = list(_check_facts(path, model, facts))
    machines = _machines(pools[model.node_pool]) if model.node_pool in pools else []
    if machines:
        problems += _check_parallelism(f"{path}.tensor_parallel", model, facts, machines)
    if not problems and machines and pools[model.node_pool].accelerator in ACCELERATORS:
        problems += _check_service_level(path, model, pools[model.node_pool])
    yield from problems


def _check_drain(path: str, model: Model) -> Iterator[Problem]:
    """A replica that leaves must outlive the longest reply, or scaling in cuts it off."""
    limited = model.max_output_tokens is not None
    tokens = model.max_output_tokens if model.max_output_tokens is not None else model.max_model_len
    longest = ceil(model.slo.ttft.seconds + tokens * model.slo.itl.seconds)
    if model.drain_seconds < longest:
        name = "max_output_tokens" if limited else "max_model_len"
        yield Problem(
            path,
            f"{model.drain_seconds} is shorter than the longest reply within the slo, {longest} s for "
            f"{name} {tokens}: a replica that leaves would cut it off. Set at least {longest}, or "
            f"{'lower' if limited else 'set'} max_output_tokens",
        )


def _check_warm_replicas(path: str, model: Model) -> Iterator[Problem]:
    warm, replicas = model.warm_replicas, model.replicas
    if warm > 0 and replicas.min == 0:
        yield Problem(
            path,
            f"{warm} hot replicas never sleep, and replicas.min 0 is for a model that does: set replicas.min "
            "to 1, or warm_replicas to 0",
        )
    elif warm >= replicas.max:
        yield Problem(
            path,
            f"{warm} leaves no replica for load, with replicas.max {replicas.max}: raise replicas.max above "
            f"{warm}",
        )


def _check_service_level(path: str, model: Model, pool: NodePool) -> Iterator[Problem]:
    """A promise that one request alone already breaks, and a load that all replicas together cannot take."""
    capacity = capacity_of(model, pool.accelerator)
    where = f"{model.tensor_parallel} x {pool.accelerator}"
    basis = f"({capacity.basis}: {capacity.source})"
    load = model.expected_load
    if capacity.memory_batch < 1:
        yield Problem(
            f"{path}.tensor_parallel",
            f"weights and one request of expected_load do not fit the memory of {where}: use more or larger "
            "GPUs, or quantization: fp8",
        )
        return
    if capacity.latency_batch < 1:
        yield Problem(
            f"{path}.slo.itl.seconds",
            f"{model.slo.itl.seconds:g} cannot be met: a request that is alone on {where} takes "
            f"{capacity.lowest_itl_seconds:.3f} s per token {basis}",
        )
        return
    if capacity.lowest_ttft_seconds > model.slo.ttft.seconds:
        yield Problem(
            f"{path}.slo.ttft.seconds",
            f"{model.slo.ttft.seconds:g} cannot be met: {load.prompt_tokens} prompt_tokens alone on {where} "
            f"take {capacity.lowest_ttft_seconds:.2f} s {basis}",
        )
        return
    needed = ceil(load.requests_per_second / capacity.requests_per_second)
    if needed > model.replicas.max:
        yield Problem(
            f"{path}.replicas.max",
            f"{model.replicas.max} replicas cannot serve expected_load: {load.requests_per_second:g} "
            f"requests_per_second take {needed} replicas on {where}, at {capacity.requests_per_second:.2f} "
            f"each {basis}",
        )


def _check_facts(path: str, model: Model, facts: ModelFacts) -> Iterator[Problem]:
    if model.max_model_len > facts.max_context:
        yield Problem(
            f"{path}.max_model_len",
            f"{model.max_model_len} is more than {model.model} can read: at most {facts.max_context} tokens",
        )
    if model.quantization is not None and model.quantization not in facts.weights_gib:
        yield Problem(
            f"{path}.quantization",
            f'"{model.quantization}" has no known size for {model.model}: leave it out to serve its '
            f"{facts.checkpoint} checkpoint, or add the size to serving/data/models.yaml",
        )


def _check_parallelism(
    path: str, model: Model, facts: ModelFacts, machines: Sequence[Machine]
) -> Iterator[Problem]:
    largest = max(machine.accelerator_count for machine in machines)
    dividing = [
        str(degree)
        for degree in range(1, largest + 1)
        if facts.attention_heads % degree == 0 and facts.vocabulary % degree == 0
    ]
    degree = model.tensor_parallel
    if degree > largest:
        reason = f"is more than the {largest} GPUs of the largest machine in pool {model.node_pool}"
    elif facts.attention_heads % degree != 0:
        reason = f"does not divide the {facts.attention_heads} attention heads of {model.model}"
    elif facts.vocabulary % degree != 0:
        reason = f"does not divide the {facts.vocabulary} vocabulary entries of {model.model}"
    else:
        return
    yield Problem(path, f"{degree} {reason}. Valid: {', '.join(dividing)}")


def _machines(pool: NodePool) -> list[Machine]:
    return [MACHINES[name] for name in pool.machine_types if name in MACHINES]
