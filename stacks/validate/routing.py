"""Rules of what the gateway tells apart: names that clients send, canaries, fallbacks."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.choices import valid_choices
from sizing.models.models import is_config_path
from stacks.config import Model, Stack
from stacks.config.section import LONGEST_NAME
from stacks.plan.canary import SUFFIX, canary_name
from stacks.problems import Problem


def check_routing(stack: Stack) -> Iterator[Problem]:
    yield from _check_names(stack)
    for index, model in enumerate(stack.models):
        path = f"models[{index}]"
        yield from _check_canary(path, model)
        yield from _check_fallback(f"{path}.fallback", model, stack)


def _check_names(stack: Stack) -> Iterator[Problem]:
    """Whatever clients may send names one model, and no Deployment is registered twice."""
    taken: dict[str, str] = {}
    for path, name in _names(stack):
        if name in taken:
            yield Problem(path, f'"{name}" is already used by {taken[name]}: choose another')
        taken.setdefault(name, path)


def _names(stack: Stack) -> Iterator[tuple[str, str]]:
    for index, model in enumerate(stack.models):
        yield f"models[{index}].name", model.name
    for index, model in enumerate(stack.models):
        if model.canary is not None:
            yield f"models[{index}].canary", canary_name(model)
        for alias_index, alias in enumerate(model.aliases):
            yield f"models[{index}].aliases[{alias_index}]", alias
        for adapter_index, adapter in enumerate(model.adapters):
            yield f"models[{index}].adapters[{adapter_index}].name", adapter.name


def _check_canary(path: str, model: Model) -> Iterator[Problem]:
    canary = model.canary
    if canary is None:
        return
    if canary.revision == model.revision:
        yield Problem(
            f"{path}.canary.revision",
            f'"{canary.revision}" is the revision of the model itself: name the one to try, or remove canary',
        )
    if model.weights != "hub":
        yield Problem(
            f"{path}.canary",
            f'not possible with weights "{model.weights}", which are of one revision: use weights hub, or a '
            "second model that names the other weights",
        )
    longest = LONGEST_NAME - len(SUFFIX)
    if len(model.name) > longest:
        yield Problem(
            f"{path}.name",
            f'"{model.name}" is too long for a model with a canary, which is called {canary_name(model)}: at '
            f"most {longest} characters",
        )


def _check_fallback(path: str, model: Model, stack: Stack) -> Iterator[Problem]:
    if model.fallback is None:
        return
    others = {other.name: other for other in stack.models if other.name != model.name}
    fitting = [name for name, other in others.items() if other.task == model.task]
    if model.fallback not in others:
        choices = valid_choices(model.fallback, fitting)
        yield Problem(path, f'"{model.fallback}" is no other model of this stack: {choices}')
    elif model.fallback not in fitting:
        choices = valid_choices(model.fallback, fitting)
        task = others[model.fallback].task
        yield Problem(path, f'"{model.fallback}" does {task}, and {model.name} does {model.task}: {choices}')
    elif others[model.fallback].replicas.min == 0:
        yield Problem(
            path,
            f'"{model.fallback}" may sleep (replicas.min: 0), and requests for {model.name} do not wake '
            "it: give it replicas.min of at least 1, or choose another model",
        )


def check_revision(path: str, model: Model) -> Iterator[Problem]:
    """Weights that come from the hub are those of one commit: a branch may be moved."""
    if model.weights == "hub" and model.revision is None and not is_config_path(model.model):
        yield Problem(
            f"{path}.revision",
            f"required with weights hub: the commit of {model.model}, 40 hexadecimal digits in quotes",
        )
