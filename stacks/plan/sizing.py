"""What one replica of a model takes, from its sections of a stack: scaling and plan share these."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import ceil
from pathlib import Path

from infra.scheduling import machine_share
from sizing.capacity.batch import ReplicaCapacity, Requests, replica_capacity
from sizing.capacity.pooling import Calls, answering_capacity
from sizing.fit import Fit, FitRequest, TypicalRequest, fit
from sizing.fit.adapters import slots_for
from sizing.fit.advice import Alternative, cheapest_alternative
from sizing.hardware.accelerators import accelerator
from sizing.hardware.machines import Machine
from sizing.models.models import Model as ModelFacts
from sizing.models.models import is_config_path, load_model
from stacks.config import Model

ROOT = Path(__file__).resolve().parents[2]
"""Folder of Pulumi.yaml, which paths in a stack file are relative to."""


def facts_of(model: Model) -> ModelFacts:
    """What is known of the model that this section names: a row of the table, or a config.json.

    Raises UnknownNameError, sizing.models.huggingface.ConfigError or UnsupportedModelError.
    """
    return _facts(model.model)


@lru_cache(maxsize=1024)
def _facts(name_or_path: str) -> ModelFacts:
    path = ROOT / name_or_path
    if not is_config_path(str(path)):
        return load_model(name_or_path)
    return replace(load_model(str(path)), name=name_or_path)


def shown_path(message: str) -> str:
    """A message with paths as the stack file has them, relative to the folder of Pulumi.yaml."""
    return message.replace(f"{ROOT}/", "")


def itl_seconds(model: Model) -> float | None:
    """The promised time between tokens; None for a model that generates none."""
    return None if model.slo.itl is None else model.slo.itl.seconds


def can_be_split(facts: ModelFacts, tensor_parallel: int) -> bool:
    """Whether engines can split the model over that many GPUs: heads and vocabulary must divide."""
    return facts.attention_heads % tensor_parallel == 0 and facts.vocabulary % tensor_parallel == 0


@lru_cache(maxsize=8192)
def capacity_of(model: Model, accelerator_name: str) -> ReplicaCapacity:
    """Capacity of one replica of `model` on GPUs of this kind.

    Raises UnknownNameError if either has no row in its table.
    """
    facts = facts_of(model)
    load, between = model.expected_load, itl_seconds(model)
    gpu = accelerator(accelerator_name)
    precision = facts.checkpoint if model.quantization is None else model.quantization
    if between is None:
        return answering_capacity(
            model=facts,
            accelerator=gpu,
            precision=precision,
            tensor_parallel=model.tensor_parallel,
            gpu_memory_utilization=model.gpu_memory_utilization,
            calls=Calls(
                prompt_tokens=load.prompt_tokens,
                inputs=load.inputs,
                answer_seconds=model.slo.ttft.seconds,
                objective=model.slo.ttft.objective,
            ),
            max_num_seqs=model.max_num_seqs,
        )
    return replica_capacity(
        model=facts,
        accelerator=gpu,
        precision=precision,
        tensor_parallel=model.tensor_parallel,
        gpu_memory_utilization=model.gpu_memory_utilization,
        requests=Requests(
            prompt_tokens=load.prompt_tokens,
            output_tokens=load.output_tokens,
            ttft_seconds=model.slo.ttft.seconds,
            itl_seconds=between,
        ),
        max_num_seqs=model.max_num_seqs,
        adapters=slots_for([adapter.rank for adapter in model.adapters]),
    )


def fit_of(model: Model, machine: Machine) -> Fit:
    """Whether one replica of `model` fits its share of this machine, and what is left for requests."""
    share = machine_share(machine, model.tensor_parallel)
    request = replace(
        _fit_request(model, machine),
        pod_memory_gib=share.memory_mib / 1024,
        pod_cpus=share.cpu_millicores / 1000,
    )
    return fit(request)


def fits_without_adapters(model: Model, machine: Machine) -> bool:
    """Whether one replica would fit if it served none of its adapters."""
    return fit_of(model.model_copy(update={"adapters": ()}), machine).fits


def what_would_fit(model: Model, machine: Machine) -> Alternative | None:
    """The cheapest machine of the same cloud on which `model` would fit as it is asked for, if any."""
    return cheapest_alternative(_fit_request(model, machine))


def _fit_request(model: Model, machine: Machine) -> FitRequest:
    return FitRequest(
        model=facts_of(model),
        accelerator=accelerator(machine.accelerator),
        engine=model.engine,
        tensor_parallel=model.tensor_parallel,
        max_model_len=model.max_model_len,
        quantization=model.quantization,
        adapters=slots_for([adapter.rank for adapter in model.adapters]),
        gpu_memory_utilization=model.gpu_memory_utilization,
        max_num_seqs=model.max_num_seqs,
        typical_request=TypicalRequest(
            prompt_tokens=model.expected_load.prompt_tokens,
            output_tokens=model.expected_load.output_tokens,
        ),
        itl_seconds=itl_seconds(model),
        node_weights_gib=facts_of(model).download_gib if model.weights.startswith("oci://") else 0.0,
        machine=machine,
    )


def replicas_idle(model: Model) -> int:
    """Replicas while there is no load: the minimum, or the hot spares if they are more."""
    return max(model.replicas.min, model.warm_replicas)


def replicas_expected(model: Model, capacity: ReplicaCapacity) -> int:
    """Replicas under expected_load, hot spares included, within the bounds."""
    load = ceil(model.expected_load.requests_per_second / capacity.planned_rate)
    return min(max(load + model.warm_replicas, model.replicas.min), model.replicas.max)
