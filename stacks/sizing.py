"""What one replica of a model takes, from its sections of a stack: scaling and plan share these."""

from __future__ import annotations

from math import ceil

from infra.accelerators import accelerator
from serving import models as model_table
from serving.batch import ReplicaCapacity, Requests, replica_capacity
from stacks.config import Model


def capacity_of(model: Model, accelerator_name: str) -> ReplicaCapacity:
    """Capacity of one replica of `model` on GPUs of this kind.

    Raises UnknownNameError if either has no row in its table.
    """
    facts = model_table.model(model.model)
    return replica_capacity(
        model=facts,
        accelerator=accelerator(accelerator_name),
        precision=facts.checkpoint if model.quantization is None else model.quantization,
        tensor_parallel=model.tensor_parallel,
        gpu_memory_utilization=model.gpu_memory_utilization,
        requests=Requests(
            prompt_tokens=model.expected_load.prompt_tokens,
            output_tokens=model.expected_load.output_tokens,
            ttft_seconds=model.slo.ttft.seconds,
            itl_seconds=model.slo.itl.seconds,
        ),
        max_num_seqs=model.max_num_seqs,
    )


def replicas_idle(model: Model) -> int:
    """Replicas while there is no load: the minimum, or the hot spares if they are more."""
    return max(model.replicas.min, model.warm_replicas)


def replicas_expected(model: Model, capacity: ReplicaCapacity) -> int:
    """Replicas under expected_load, hot spares included, within the bounds."""
    load = ceil(model.expected_load.requests_per_second / capacity.planned_rate)
    return min(max(load + model.warm_replicas, model.replicas.min), model.replicas.max)
