"""Canaries as what they are on a cluster: one more Deployment beside that of their model."""

from __future__ import annotations

from math import ceil

from stacks.config import Model, Stack

SUFFIX = "-canary"

LEAST_WEIGHT = 1
"""Per cent of the load for which a canary is planned at weight 0: it is kept ready, and nobody asks it."""


def deployed(stack: Stack) -> tuple[Model, ...]:
    """A section for each Deployment: every model, and after it its canary if it has one."""
    return tuple(section for model in stack.models for section in _sections(model))


def canary_name(model: Model) -> str:
    """Name of the Deployment and the Service of the canary of `model`."""
    return f"{model.name}{SUFFIX}"


def _sections(model: Model) -> list[Model]:
    if model.canary is None:
        return [model]
    weight = max(model.canary.weight, LEAST_WEIGHT) / 100
    # A canary that slept would be no test, and its share of the requests would go to the other revision.
    minimum = max(1, ceil(model.replicas.min * weight))
    maximum = max(minimum, ceil(model.replicas.max * weight))
    load = model.expected_load
    canary = model.model_copy(
        update={
            "name": canary_name(model),
            "revision": model.canary.revision,
            "canary": None,
            "fallback": None,
            "warm_replicas": 0,
            "replicas": model.replicas.model_copy(update={"min": minimum, "max": maximum}),
            "expected_load": load.model_copy(
                update={"requests_per_second": load.requests_per_second * weight}
            ),
        }
    )
    # The model keeps all its own replicas: a rollback must find them.
    return [model, canary]
