"""Rules of `models[].task`: what the model was trained for, and which fields describe such a load."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.models.models import MODELS
from sizing.models.models import Model as ModelFacts
from stacks.config import Model
from stacks.problems import Problem


def check_task(path: str, model: Model) -> Iterator[Problem]:
    """Fields that a task needs, and those that say nothing about it."""
    if model.task == "generate":
        yield from _check_generate(path, model)
    else:
        yield from _check_answers(path, model)


def _check_generate(path: str, model: Model) -> Iterator[Problem]:
    if model.expected_load.output_tokens == 0:
        yield Problem(
            f"{path}.expected_load.output_tokens",
            "required with task generate: the tokens of a typical reply, at least 1",
        )
    if model.expected_load.inputs != 1:
        yield Problem(
            f"{path}.expected_load.inputs", "means nothing with task generate: a request has one prompt"
        )
    if model.slo.itl is None:
        yield Problem(f"{path}.slo.itl", "required with task generate: what is promised between two tokens")


def _check_answers(path: str, model: Model) -> Iterator[Problem]:
    """A model that answers in one piece has no tokens to count, to limit or to wait for."""
    load = model.expected_load
    given = {
        "expected_load.output_tokens": load.output_tokens != 0,
        "max_output_tokens": model.max_output_tokens is not None,
        "slo.itl": model.slo.itl is not None,
        "adapters": bool(model.adapters),
    }
    for field, is_given in given.items():
        if is_given:
            yield Problem(f"{path}.{field}", f"means nothing with task {model.task}: remove it")


def check_task_of(path: str, model: Model, facts: ModelFacts) -> Iterator[Problem]:
    """A task that the model was not trained for: its answers would be noise."""
    if model.task in facts.tasks:
        return
    others = [name for name, row in MODELS.items() if model.task in row.tasks]
    yield Problem(
        path,
        f'"{model.task}" is not what {model.model} does: {" or ".join(facts.tasks)}. Set that, or choose a '
        f"model for {model.task}, such as {', '.join(others[:3])}",
    )
