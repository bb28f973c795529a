"""Rules of `models`: each against its own fields, its pool, and what is known of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from sizing.capacity.batch import ReplicaCapacity
from sizing.choices import UnknownNameError, valid_choices
from sizing.hardware.accelerators import accelerator
from sizing.hardware.machines import Machine, shapes_with
from sizing.models.huggingface import ConfigError, UnsupportedModelError
from sizing.models.models import MODELS
from sizing.models.models import Model as ModelFacts
from sizing.packing import cheapest_machine
from stacks.config import ExpectedLoad, Model, Stack
from stacks.plan.catalogue import pool_machines
from stacks.plan.sizing import (
    capacity_of,
    facts_of,
    fit_of,
    fits_without_adapters,
    itl_seconds,
    shown_path,
    what_would_fit,
)
from stacks.problems import Problem
from stacks.validate.chat import check_chat
from stacks.validate.engines import check_engine
from stacks.validate.observability import check_burn_rates
from stacks.validate.tasks import check_task, check_task_of


def check_model(path: str, model: Model, stack: Stack) -> Iterator[Problem]:
    if model.replicas.min > model.replicas.max:
        yield Problem(
            f"{path}.replicas.min",
            f"{model.replicas.min} is above replicas.max {model.replicas.max}: lower one or raise the other",
        )
    yield from _check_warm_replicas(f"{path}.warm_replicas", model)
    yield from _check_drain(f"{path}.drain_seconds", model)
    yield from check_burn_rates(path, model, stack.observability)
    refused = list(check_engine(path, model))
    yield from refused
    wrong_fields = list(check_task(path, model))
    yield from wrong_fields
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
    try:
        facts = facts_of(model)
    except UnknownNameError:
        yield Problem(
            f"{path}.model",
            f'"{model.model}" is unknown: {valid_choices(model.model, MODELS)}. To serve another, name its '
            "config.json here to plan it, or add its row to sizing/models/data/models.yaml: memory, disk and "
            "start-up time depend on it",
        )
        return
    except (ConfigError, UnsupportedModelError) as error:
        yield Problem(f"{path}.model", f'"{model.model}" cannot be planned: {shown_path(str(error))}')
        return
    problems = [
        *_check_facts(path, model, facts),
        *check_task_of(f"{path}.task", model, facts),
        *check_chat(path, model, facts),
    ]
    machines = pool_machines(pools[model.node_pool], stack) if model.node_pool in pools else []
    if machines:
        problems += _check_parallelism(f"{path}.tensor_parallel", model, facts, machines)
    machine = cheapest_machine(machines, model.tensor_parallel)
    # A pool with machines of several accelerators has a problem of its own.
    if machine is None or machine.accelerator != pools[model.node_pool].accelerator:
        yield from problems
        return
    if not problems and not refused:
        problems += _check_fit(path, model, facts, machine)
    # Without the figures that its task needs, nothing can be computed.
    if not problems and not refused and not wrong_fields:
        capacity = capacity_of(model, facts, accelerator(machine.accelerator))
        problems += _check_service_level(path, model, machine.accelerator, capacity)
    yield from problems


def _check_fit(path: str, model: Model, facts: ModelFacts, machine: Machine) -> Iterator[Problem]:
    """What the engine would refuse at its start, when the machine is already paid for."""
    found = fit_of(model, facts, machine)
    if found.fits:
        return
    other = what_would_fit(model, facts, machine)
    advice = "no machine of this cloud would do" if other is None else f"cheapest that would: {other.text}"
    where = f"on {model.tensor_parallel} x {machine.accelerator} in {machine.name}"
    if model.adapters and fits_without_adapters(model, facts, machine):
        place, asked = "adapters", f"{len(model.adapters)} do not fit {where}"
    elif 0 < found.max_context < model.max_model_len:
        place, asked = "max_model_len", f"{model.max_model_len} does not fit {where}"
    elif (
        model.max_num_seqs is not None
        and found.most_sequences is not None
        and model.max_num_seqs > found.most_sequences >= 1
    ):
        place, asked = "max_num_seqs", f"{model.max_num_seqs} cannot be started {where}"
    elif found.kv_pool_gib <= 0:
        place, asked = "tensor_parallel", f"{model.tensor_parallel} is not enough {where}"
    else:
        place, asked = "node_pool", f'"{model.node_pool}" cannot run {model.model} {where}'
    yield Problem(f"{path}.{place}", f"{asked}: {found.reason}; {advice}")


def _check_drain(path: str, model: Model) -> Iterator[Problem]:
    """A replica that leaves must outlive the longest reply, or scaling in cuts it off."""
    between = itl_seconds(model)
    if model.task != "generate":
        yield from _check_drain_of_answers(path, model)
    if model.task != "generate" or between is None:
        return
    limited = model.max_output_tokens is not None
    tokens = model.max_output_tokens if model.max_output_tokens is not None else model.max_model_len
    longest = ceil(model.slo.ttft.seconds + tokens * between)
    if model.drain_seconds < longest:
        name = "max_output_tokens" if limited else "max_model_len"
        yield Problem(
            path,
            f"{model.drain_seconds} is shorter than the longest reply within the slo, {longest} s for "
            f"{name} {tokens}: a replica that leaves would cut it off. Set at least {longest}, or "
            f"{'lower' if limited else 'set'} max_output_tokens",
        )


def _check_drain_of_answers(path: str, model: Model) -> Iterator[Problem]:
    """The same for a model that answers in one piece."""
    longest = ceil(model.slo.ttft.seconds)
    if model.drain_seconds < longest:
        yield Problem(
            path,
            f"{model.drain_seconds} is shorter than an answer may take by slo.ttft.seconds: a replica that "
            f"leaves would cut it off. Set at least {longest}",
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


def _check_service_level(path: str, model: Model, gpu: str, capacity: ReplicaCapacity) -> Iterator[Problem]:
    """A promise that one request alone already breaks, and a load that all replicas together cannot take."""
    where = f"{model.tensor_parallel} x {gpu}"
    basis = f"({capacity.basis}: {capacity.source})"
    load = model.expected_load
    alone = capacity.lowest_itl_seconds
    if model.slo.itl is not None and alone is not None and capacity.latency_batch < 1:
        yield Problem(
            f"{path}.slo.itl.seconds",
            f"{model.slo.itl.seconds:g} cannot be met: a request that is alone on {where} takes "
            f"{alone:.3f} s per token {basis}",
        )
        return
    if capacity.lowest_ttft_seconds > model.slo.ttft.seconds:
        yield Problem(
            f"{path}.slo.ttft.seconds",
            f"{model.slo.ttft.seconds:g} cannot be met: {_prompt(load)} alone on {where} "
            f"take {capacity.lowest_ttft_seconds:.2f} s {basis}",
        )
        return
    places = capacity.max_num_seqs + model.max_queued_requests
    if load.inputs > places:
        yield Problem(
            f"{path}.max_queued_requests",
            f"{model.max_queued_requests} leaves {places} places for inputs in a replica, and expected_load "
            f"brings {load.inputs} with each request: all would be refused. Set a few times that",
        )
    needed = ceil(load.requests_per_second / capacity.requests_per_second)
    if needed > model.replicas.max:
        yield Problem(
            f"{path}.replicas.max",
            f"{model.replicas.max} replicas cannot serve expected_load: {load.requests_per_second:g} "
            f"requests_per_second take {needed} replicas on {where}, at {capacity.requests_per_second:.2f} "
            f"each {basis}",
        )


def _prompt(load: ExpectedLoad) -> str:
    prompt = f"{load.prompt_tokens} prompt_tokens"
    return prompt if load.inputs == 1 else f"{load.inputs} inputs of {prompt}"


def _check_facts(path: str, model: Model, facts: ModelFacts) -> Iterator[Problem]:
    if facts.foreign_code is not None:
        yield Problem(f"{path}.model", f'"{model.model}" cannot be started: {facts.foreign_code.text}')
    if model.max_model_len > facts.max_context:
        yield Problem(
            f"{path}.max_model_len",
            f"{model.max_model_len} is more than {model.model} can read: at most {facts.max_context} tokens",
        )
    if model.quantization == facts.checkpoint:
        yield Problem(
            f"{path}.quantization",
            f'"{model.quantization}" is what the checkpoint of {model.model} is already: leave it out',
        )
    elif model.quantization is not None and model.quantization not in facts.weights_gib:
        yield Problem(
            f"{path}.quantization",
            f'"{model.quantization}" has no known size for {model.model}: leave it out to serve its '
            f"{facts.checkpoint} checkpoint, or add the size to sizing/models/data/models.yaml",
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
        largest_gpus = "the 1 GPU" if largest == 1 else f"the {largest} GPUs"
        reason = f"is more than {largest_gpus} of the largest machine in pool {model.node_pool}"
    elif facts.attention_heads % degree != 0:
        reason = f"does not divide the {facts.attention_heads} attention heads of {model.model}"
    elif facts.vocabulary % degree != 0:
        reason = f"does not divide the {facts.vocabulary} vocabulary entries of {model.model}"
    else:
        return
    yield Problem(path, f"{degree} {reason}. Valid: {', '.join(dividing)}{_larger(degree, machines)}")


def _larger(gpus: int, machines: Sequence[Machine]) -> str:
    """End of a sentence that names a machine type which has so many GPUs, if those of the pool have not."""
    accelerator, cloud = machines[0].accelerator, machines[0].cloud
    has_enough = [shape for shape in shapes_with(accelerator, (cloud,)) if shape.accelerator_count >= gpus]
    if not has_enough or any(machine.accelerator_count >= gpus for machine in machines):
        return ""
    smallest = has_enough[0]
    return f"; or add {smallest.name}, which has {smallest.accelerator_count}, to the pool's machine_types"
