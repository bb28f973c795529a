from __future__ import annotations

from typing import Any

import pytest

from stacks.load import parse
from stacks.plan.change import Change
from stacks.plan.field_changes import field_changes
from tests.stacks.environments import aws_values, local_values, merged


def changes(
    before: dict[str, Any], after: dict[str, Any], renamed: dict[str, str] | None = None
) -> list[Change]:
    return field_changes(parse(before, "base"), parse(after, "now"), renamed or {})


def change(path: str, before: object, after: object) -> Change:
    """The only difference between two local stacks that have these values at `path`."""
    values = local_values()
    (found,) = changes(merged(values, {path: before}), merged(values, {path: after}))
    return found


@pytest.mark.parametrize(
    ("path", "before", "after", "expected"),
    [
        ("models.0.max_model_len", 16384, 32768, Change("chat", "max_model_len", "16384", "32768", "gain")),
        (
            "models.0.max_output_tokens",
            2048,
            1024,
            Change("chat", "max_output_tokens", "2048", "1024", "loss"),
        ),
        ("models.0.drain_seconds", 130, 200, Change("chat", "drain_seconds", "130", "200", "gain")),
        ("models.0.warm_replicas", None, 1, Change("chat", "warm_replicas", "0", "1", "gain")),
        ("models.0.slo.ttft.seconds", 1, 2, Change("chat", "slo.ttft.seconds", "1", "2", "loss")),
        (
            "models.0.slo.ttft.objective",
            0.95,
            0.99,
            Change("chat", "slo.ttft.objective", "0.95", "0.99", "gain"),
        ),
        ("models.0.aliases", None, ["gpt"], Change("chat", "aliases", "-", "gpt", "gain")),
        ("models.0.aliases", ["a", "b"], ["b", "c"], Change("chat", "aliases", "a, b", "b, c", "loss")),
        ("models.0.fallback", "chat-large", None, Change("chat", "fallback", "chat-large", "-", "loss")),
        ("models.0.revision", "a" * 40, "b" * 40, Change("chat", "revision", "a" * 40, "b" * 40, "")),
        ("node_pools.0.max_nodes", 7, 6, Change("pool l4", "max_nodes", "7", "6", "loss")),
        (
            "node_pools.0.capacity",
            ["on-demand", "spot"],
            ["spot", "on-demand"],
            Change("pool l4", "capacity", "on-demand, spot", "spot, on-demand", "loss"),
        ),
        (
            "node_pools.0.capacity",
            ["on-demand"],
            ["on-demand", "spot"],
            Change("pool l4", "capacity", "on-demand", "on-demand, spot", ""),
        ),
        ("gateway.replicas", 2, 3, Change("gateway", "replicas", "2", "3", "gain")),
        ("gateway.rate_limit.burst", 20, 10, Change("gateway", "rate_limit.burst", "20", "10", "loss")),
        (
            "models.0.slo.itl.objective",
            0.95,
            0.96,
            Change("chat", "slo.itl.objective", "0.95", "0.96", "no effect"),
        ),
        ("tags", {"team": "a"}, {"team": "b"}, Change("tags", "team", "a", "b", "no effect")),
    ],
)
def test_a_field_that_changes(path: str, before: object, after: object, expected: Change):
    assert change(path, before, after) == expected


def test_an_adapter_that_goes_is_a_loss_and_one_that_comes_a_gain():
    one = {"name": "law", "source": "example/law", "revision": "a" * 40, "rank": 16}
    values = local_values()
    with_one = merged(values, {"models.0.adapters": [one]})
    assert {(found.what, found.effect) for found in changes(values, with_one)} == {
        ("adapters.law.source", "gain"),
        ("adapters.law.revision", "gain"),
        ("adapters.law.rank", "gain"),
    }
    assert {found.effect for found in changes(with_one, values)} == {"loss"}


def test_entries_are_compared_by_name_in_any_order():
    values = local_values()
    turned = {**values, "models": values["models"][::-1], "node_pools": values["node_pools"][::-1]}
    assert changes(values, turned) == []


def test_a_renamed_model_is_compared_under_its_new_name():
    values = local_values()
    after = merged(values, {"models.1.name": "assistant", "models.1.max_queued_requests": 3})
    before = merged(values, {"models.1.max_queued_requests": 4})
    assert changes(before, after, {"chat-large": "assistant"}) == [
        Change("assistant", "max_queued_requests", "4", "3", "loss")
    ]
    # Without that they are two models, of which only one side has each.
    assert changes(before, after) == []


def test_the_fields_of_another_provider_are_left_out():
    assert changes(local_values(), aws_values()) == []
