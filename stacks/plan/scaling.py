"""How far and how fast each Deployment scales, and what its recorded signals are made from."""

from __future__ import annotations

from dashboards.recording_rules import InFlight, ScaledModel, Throughput
from serving.scaling import ScalingBounds
from stacks.config import Model
from stacks.plan.sizing import Sized


def scaling_bounds(model: Model) -> ScalingBounds:
    """How far and how fast `model` scales."""
    return ScalingBounds(
        minimum=model.replicas.min,
        maximum=model.replicas.max,
        scale_down_stabilization_seconds=model.scale_down_stabilization_seconds,
        sleep_after_seconds=model.sleep_after_seconds,
    )


def scaled_model(sized: Sized) -> ScaledModel:
    """What the recording rules of a Deployment are made from."""
    model = sized.section
    return ScaledModel(
        name=model.name,
        engine=model.engine,
        ttft_seconds=model.slo.ttft.seconds,
        ttft_objective=model.slo.ttft.objective,
        max_num_seqs=sized.capacity.max_num_seqs,
        target=_target(sized),
        first_tokens=sized.capacity.first_tokens,
        minimum=model.replicas.min,
        warm_replicas=model.warm_replicas,
    )


def _target(sized: Sized) -> InFlight | Throughput:
    """What the work rule aims at in one replica that has its planned rate."""
    if sized.capacity.target_batch is not None:
        return InFlight(sized.capacity.target_batch)
    load = sized.section.expected_load
    return Throughput(sized.capacity.planned_rate * load.inputs * load.prompt_tokens)
