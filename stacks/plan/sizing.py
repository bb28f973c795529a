"""What one replica of a Deployment takes: its section of a stack, and what is computed from it once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from infra.scheduling import machine_share
from serving.engines import engine_of
from sizing.capacity.batch import ReplicaCapacity, Requests, replica_capacity
from sizing.capacity.pooling import Calls, answering_capacity
from sizing.fit import Fit, FitRequest, TypicalRequest, fit
from sizing.fit.adapters import AdapterSlots, slots_for
from sizing.fit.advice import Alternative, cheapest_alternative
from sizing.hardware.accelerators import Accelerator, accelerator
from sizing.hardware.machines import Machine
from sizing.models.models import Model as ModelFacts
from sizing.models.models import is_config_path, load_model
from stacks.config import Model

ROOT = Path(__file__).resolve().parents[2]
"""Folder of Pulumi.yaml, which paths in a stack file are relative to."""


@dataclass(frozen=True)
class Sized:
    """A Deployment with what its replicas take.

    section: of a model, or of its canary. facts: what is known of the model. gpu: of its pool.
    capacity: of one replica.
    """

    section: Model
    facts: ModelFacts
    gpu: Accelerator
    capacity: ReplicaCapacity

    @property
    def places(self) -> int:
        """Requests that one replica computes and queues at most."""
        return self.capacity.max_num_seqs + self.section.max_queued_requests

    @property
    def replicas_idle(self) -> int:
        """Replicas while there is no load."""
        return replicas_idle(self.section)

    @property
    def replicas_expected(self) -> int:
        """Replicas under expected_load, hot spares included, within the bounds."""
        section = self.section
        load = ceil(section.expected_load.requests_per_second / self.capacity.planned_rate)
        return min(max(load + section.warm_replicas, section.replicas.min), section.replicas.max)


def sized(section: Model, accelerator_name: str) -> Sized:
    """`section` on GPUs of this kind.

    Raises UnknownNameError if either has no row in its table, and as `facts_of` does.
    """
    facts, gpu = facts_of(section), accelerator(accelerator_name)
    return Sized(section, facts, gpu, capacity_of(section, facts, gpu))


def facts_of(model: Model) -> ModelFacts:
    """What is known of the model that this section names: a row of the table, or a config.json.

    Raises UnknownNameError, sizing.models.huggingface.ConfigError or UnsupportedModelError.
    """
    path = ROOT / model.model
    if not is_config_path(str(path)):
        return load_model(model.model)
    return replace(load_model(str(path)), name=model.model)


def shown_path(message: str) -> str:
    """A message with paths as the stack file has them, relative to the folder of Pulumi.yaml."""
    return message.replace(f"{ROOT}/", "")


def itl_seconds(model: Model) -> float | None:
    """The promised time between tokens; None for a model that generates none."""
    return None if model.slo.itl is None else model.slo.itl.seconds


def precision_of(model: Model, facts: ModelFacts) -> str:
    """The precision of the weights as they are served."""
    return facts.checkpoint if model.quantization is None else model.quantization


def can_be_split(facts: ModelFacts, tensor_parallel: int) -> bool:
    """Whether engines can split the model over that many GPUs: heads and vocabulary must divide."""
    return facts.attention_heads % tensor_parallel == 0 and facts.vocabulary % tensor_parallel == 0


def capacity_of(model: Model, facts: ModelFacts, gpu: Accelerator) -> ReplicaCapacity:
    """Capacity of one replica of `model` on GPUs of this kind."""
    load, between = model.expected_load, itl_seconds(model)
    if between is None:
        return answering_capacity(
            model=facts,
            accelerator=gpu,
            precision=precision_of(model, facts),
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
        precision=precision_of(model, facts),
        tensor_parallel=model.tensor_parallel,
        gpu_memory_utilization=model.gpu_memory_utilization,
        requests=Requests(
            prompt_tokens=load.prompt_tokens,
            output_tokens=load.output_tokens,
            ttft_seconds=model.slo.ttft.seconds,
            itl_seconds=between,
        ),
        max_num_seqs=model.max_num_seqs,
        adapters=_slots(model),
    )


def _slots(model: Model) -> AdapterSlots | None:
    return slots_for([adapter.rank for adapter in model.adapters], engine_of(model.engine).adapter_ranks)


def fit_of(model: Model, facts: ModelFacts, machine: Machine) -> Fit:
    """Whether one replica of `model` fits its share of this machine, and what is left for requests."""
    share = machine_share(machine, model.tensor_parallel)
    request = replace(
        _fit_request(model, facts, machine),
        pod_memory_gib=share.memory_mib / 1024,
        pod_cpus=share.cpu_millicores / 1000,
    )
    return fit(request)


def fits_without_adapters(model: Model, facts: ModelFacts, machine: Machine) -> bool:
    """Whether one replica would fit if it served none of its adapters."""
    return fit_of(model.model_copy(update={"adapters": ()}), facts, machine).fits


def what_would_fit(model: Model, facts: ModelFacts, machine: Machine) -> Alternative | None:
    """The cheapest machine of the same cloud on which `model` would fit as it is asked for, if any."""
    return cheapest_alternative(_fit_request(model, facts, machine))


def _fit_request(model: Model, facts: ModelFacts, machine: Machine) -> FitRequest:
    return FitRequest(
        model=facts,
        accelerator=accelerator(machine.accelerator),
        engine=engine_of(model.engine).memory,
        tensor_parallel=model.tensor_parallel,
        max_model_len=model.max_model_len,
        quantization=model.quantization,
        adapters=_slots(model),
        gpu_memory_utilization=model.gpu_memory_utilization,
        max_num_seqs=model.max_num_seqs,
        typical_request=TypicalRequest(
            prompt_tokens=model.expected_load.prompt_tokens,
            output_tokens=model.expected_load.output_tokens,
        ),
        itl_seconds=itl_seconds(model),
        node_weights_gib=facts.download_gib if model.weights.startswith("oci://") else 0.0,
        machine=machine,
    )


def replicas_idle(model: Model) -> int:
    """Replicas while there is no load: the minimum, or the hot spares if they are more."""
    return max(model.replicas.min, model.warm_replicas)
