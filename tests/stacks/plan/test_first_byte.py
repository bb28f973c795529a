"""The time limit for a first byte follows from what a replica is planned for."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.config import Stack
from stacks.load import from_file
from stacks.plan.routing import LEAST_PATIENCE_SECONDS, PATIENCE, first_byte_seconds
from stacks.plan.sizing import sized

STACKS = ("dev", "local", "staging", "prod", "prod-gcp")


def changed(stack: Stack, **update: Any) -> int:
    model = stack.models[0].model_copy(update=update)
    return first_byte_seconds(sized(model, stack.pool(model.node_pool).accelerator))


@pytest.mark.parametrize("name", STACKS)
def test_no_request_that_a_replica_is_planned_for_takes_as_long(name: str):
    stack = from_file(name)
    for model in stack.models:
        longest = model.max_model_len if model.max_output_tokens is None else model.max_output_tokens
        assert model.slo.itl is not None
        alone = longest * model.slo.itl.seconds + model.slo.ttft.seconds
        found = first_byte_seconds(sized(model, stack.pool(model.node_pool).accelerator))
        assert found >= PATIENCE * alone


def test_it_grows_with_the_queue_and_with_the_longest_reply():
    stack = from_file("local")
    model = stack.models[0]
    assert model.max_output_tokens is not None
    here = changed(stack)
    assert changed(stack, max_queued_requests=2 * model.max_queued_requests + 100) > here
    assert changed(stack, max_output_tokens=2 * model.max_output_tokens) == pytest.approx(2 * here, rel=0.2)
    assert changed(stack, max_output_tokens=None) > here
    assert changed(stack, max_output_tokens=1, max_queued_requests=1) == LEAST_PATIENCE_SECONDS
