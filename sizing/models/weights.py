"""Memory of weights: each component in its own precision, divided or copied over GPUs and stages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from sizing.models.architecture import LINEAR, Architecture, Quantization, Weight

GIB = 1024**3

SIXTEEN_BIT_BYTES = 2

ONLINE_FP8 = Quantization("fp8", "fp8", 1.0, LINEAR)
"""Quantised while loading: every linear layer, experts included; embeddings and output layer are not."""

PADDED_WIDTH, PADDED_HIDDEN = 128, 256
"""vLLM's kernels for experts in 4-bit floats (Marlin, TensorRT-LLM) round the width of an expert on each GPU
and the hidden size up to these. It makes gpt-oss-20b, whose both are 2880, 7 per cent larger: 13.66 GiB by
this formula and 13.7 in a log."""


@dataclass(frozen=True)
class Stage:
    """One stage of pipeline parallelism: its layers, and whether it holds the input and the output end."""

    first_layer: int
    layers: int
    first: bool
    last: bool


def stages(layers: int, pipeline_parallel: int) -> tuple[Stage, ...]:
    """How vLLM deals layers to stages: evenly, a remainder to the stages before the last."""
    counts = [layers // pipeline_parallel] * pipeline_parallel
    for extra in range(layers % pipeline_parallel):
        counts[-(extra + 2)] += 1
    found: list[Stage] = []
    start = 0
    for index, count in enumerate(counts):
        found.append(Stage(start, count, index == 0, index == pipeline_parallel - 1))
        start += count
    return tuple(found)


def whole(architecture: Architecture) -> Stage:
    """The only stage of a model without pipeline parallelism."""
    return Stage(0, len(architecture.layers), first=True, last=True)


def gpu_weights_gib(
    architecture: Architecture, quantization: Quantization, tensor_parallel: int, stage: Stage
) -> float:
    """Weights on each GPU of a stage, GiB."""
    layers = architecture.layers[stage.first_layer : stage.first_layer + stage.layers]
    within = (weight for layer in layers for weight in layer.weights)
    held = [*within, *_ends(architecture, stage)]
    return sum(_bytes_on_gpu(weight, quantization, tensor_parallel) for weight in held) / GIB


def checkpoint_gib(architecture: Architecture) -> float:
    """The files of the repository, GiB: nothing padded, nothing copied."""
    return sum(
        weight.parameters * _bytes_per_value(weight, architecture.quantization)
        for weight in architecture.weights
    ) / GIB  # fmt: skip


def _ends(architecture: Architecture, stage: Stage) -> Iterable[Weight]:
    """Embeddings and vision tower belong to the first stage, norm and output layer to the last, which needs a
    copy of embeddings that serve as output layer."""
    tied = all(weight.component != "output" for weight in architecture.outer)
    for weight in architecture.outer:
        if weight.component in ("embedding", "vision"):
            if stage.first or (stage.last and tied and weight.component == "embedding"):
                yield weight
        elif stage.last:
            yield weight


def _bytes_per_value(weight: Weight, quantization: Quantization) -> float:
    if weight.held is not None:
        return weight.held.bytes_per_value
    quantised = weight.component in quantization.components
    return quantization.bytes_per_value if quantised else SIXTEEN_BIT_BYTES


def _bytes_on_gpu(weight: Weight, quantization: Quantization, tensor_parallel: int) -> float:
    share = weight.parameters / weight.divided_by(tensor_parallel)
    precision = quantization.precision if weight.held is None else weight.held.precision
    if weight.expert is not None and precision == "mxfp4":
        width = ceil(weight.expert.width / tensor_parallel)
        share *= round_up(width, PADDED_WIDTH) / width
        share *= round_up(weight.expert.hidden, PADDED_HIDDEN) / weight.expert.hidden
    copied = weight.copied_in_16_bit / weight.divided_by(tensor_parallel) * SIXTEEN_BIT_BYTES
    return share * _bytes_per_value(weight, quantization) + copied


def round_up(value: int, multiple: int) -> int:
    """The next multiple from `value` up."""
    return ceil(value / multiple) * multiple
