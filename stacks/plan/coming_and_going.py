"""Models, pools and clusters that only one of two plans has, and models that have another name in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stacks.config import Model, Stack
from stacks.plan.figures import Plan
from stacks.plan.markdown import code


@dataclass(frozen=True)
class Planned:
    """A stack file that can be planned, and its plan."""

    stack: Stack
    plan: Plan


def renamed_models(before: Stack, after: Stack) -> Mapping[str, str]:
    """New names by old ones: models that are gone, while one that is new serves the same weights."""
    old = {model.name: model for model in before.models}
    new = {model.name: model for model in after.models}
    free = [model for name, model in new.items() if name not in old]
    found: dict[str, str] = {}
    for name, model in old.items():
        if name in new:
            continue
        heir = next((one for one in free if one.model == model.model and one.task == model.task), None)
        if heir is not None:
            free.remove(heir)
            found[name] = heir.name
    return found


def coming_and_going(
    before: Planned, after: Planned, renamed: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """What is lost with models, pools and clusters that only one side has, and what else there is to say."""
    lost: list[str] = []
    others: list[str] = []
    old, new = before.stack.cluster, after.stack.cluster
    if old.provider != new.provider:
        others.append(
            f"the cluster moves from {old.provider} to {new.provider}: another cluster, nothing that runs is "
            "taken along"
        )
    names = {model.name for model in after.stack.models}
    answered = {name for model in after.stack.models for name in _names(model)}
    for model in before.stack.models:
        if model.name in names:
            continue
        heir = renamed.get(model.name)
        gone = [name for name in _names(model) if name not in answered]
        unanswered = f", requests for {', '.join(map(code, gone))} fail" if gone else ""
        if heir is None:
            lost.append(f"{code(model.name)} is removed{unanswered}")
        elif gone:
            lost.append(
                f"{code(model.name)} is now called {code(heir)}{unanswered}: an alias would keep them"
            )
        else:
            others.append(f"{code(model.name)} is now called {code(heir)} and answers to its old names")
    known = {renamed.get(model.name, model.name) for model in before.plan.models}
    others += [f"{code(model.name)} is new" for model in after.plan.models if model.name not in known]
    old_pools = {pool.name for pool in before.plan.pools}
    new_pools = {pool.name for pool in after.plan.pools}
    others += [f"pool {code(name)} is new" for name in sorted(new_pools - old_pools)]
    others += [f"pool {code(name)} is removed" for name in sorted(old_pools - new_pools)]
    return lost, others


def _names(model: Model) -> list[str]:
    """Everything that clients may send as `model` to reach it."""
    return [model.name, *model.aliases, *(adapter.name for adapter in model.adapters)]
