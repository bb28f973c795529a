from __future__ import annotations

from typing import Any

from stacks.load import parse
from stacks.plan import make_plan
from stacks.plan.coming_and_going import Planned, coming_and_going, renamed_models
from tests.stacks.environments import aws_values, local_values, merged


def compared(before: dict[str, Any], after: dict[str, Any]) -> tuple[list[str], list[str]]:
    old, new = (Planned(stack, make_plan(stack)) for stack in (parse(before, "base"), parse(after, "now")))
    return coming_and_going(old, new, renamed_models(old.stack, new.stack))


def test_nothing_comes_or_goes():
    assert compared(local_values(), local_values()) == ([], [])


def test_a_model_that_goes_takes_all_its_names_along():
    before = merged(local_values(), {"models.1.aliases": ["large", "kept"]})
    after = merged(local_values(), {"models.0.aliases": ["kept"]})
    del after["models"][1]
    lost, others = compared(before, after)
    assert lost == ["`chat-large` is removed, requests for `chat-large`, `large` fail"]
    assert others == []


def test_a_rename_is_a_loss_only_of_names_that_nothing_answers_to():
    before = merged(local_values(), {"models.1.aliases": ["large"]})
    after = merged(local_values(), {"models.1.name": "assistant", "models.1.aliases": ["chat-large"]})
    lost, others = compared(before, after)
    assert lost == [
        "`chat-large` is now called `assistant`, requests for `large` fail: an alias would keep them"
    ]
    after = merged(after, {"models.1.aliases": ["chat-large", "large"]})
    lost, others = compared(before, after)
    assert (lost, others) == ([], ["`chat-large` is now called `assistant` and answers to its old names"])


def test_two_models_of_the_same_weights_are_not_renamed_to_one():
    stack, other = local_values(), local_values()
    stack["node_pools"][0]["max_nodes"] = other["node_pools"][0]["max_nodes"] = 20
    stack["models"].append({**stack["models"][0], "name": "twin"})
    other["models"][0]["name"] = "only"
    assert renamed_models(parse(stack, "base"), parse(other, "now")) == {"chat": "only"}


def test_a_canary_that_comes_is_a_model_of_its_own():
    after = merged(local_values(), {"models.0.canary": {"revision": "f" * 40, "weight": 5}})
    assert compared(local_values(), after) == ([], ["`chat-canary` is new"])


def test_another_provider():
    _, others = compared(local_values(), aws_values())
    assert others == [
        "the cluster moves from local to aws: another cluster, nothing that runs is taken along"
    ]
