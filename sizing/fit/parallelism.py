"""Whether a model can be divided like this, and over GPUs that somebody sells in one machine."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.fit.request import FitRequest
from sizing.hardware.machines import shapes_with
from sizing.models.models import Model


def valid_degrees(model: Model, largest: int) -> list[int]:
    """Tensor parallel sizes up to `largest` that divide heads and vocabulary, as vLLM demands."""
    return [
        degree
        for degree in range(1, largest + 1)
        if model.attention_heads % degree == 0 and model.vocabulary % degree == 0
    ]


def largest_machine(accelerator: str) -> int:
    """GPUs of the largest machine with this accelerator; 8 where no machine is known."""
    return max((shape.accelerator_count for shape in shapes_with(accelerator)), default=8)


def problems(request: FitRequest) -> Iterator[str]:
    """Why this division is impossible."""
    model, degree, pipeline = request.model, request.tensor_parallel, request.pipeline_parallel
    largest = largest_machine(request.accelerator.name)
    valid = ", ".join(str(size) for size in valid_degrees(model, largest))
    if degree < 1:
        yield f"tensor_parallel {degree} is below 1. Valid: {valid}"
        return
    if model.attention_heads % degree:
        yield (
            f"tensor_parallel {degree} does not divide the {model.attention_heads} attention heads of "
            f"{model.name}. Valid: {valid}"
        )
    elif model.vocabulary % degree:
        yield (
            f"tensor_parallel {degree} does not divide the {model.vocabulary} vocabulary entries of "
            f"{model.name}. Valid: {valid}"
        )
    elif degree > largest:
        yield (
            f"tensor_parallel {degree} is more than the {largest} {request.accelerator.name} of the largest "
            f"machine. Valid: {valid}"
        )
    elif model.kv_heads % degree and degree % model.kv_heads:
        yield (
            f"tensor_parallel {degree} neither divides the {model.kv_heads} key-value heads of {model.name} "
            f"nor is a multiple of them"
        )
    if not 1 <= pipeline <= model.layers:
        yield f"pipeline_parallel {pipeline} is not between 1 and the {model.layers} layers of {model.name}"
