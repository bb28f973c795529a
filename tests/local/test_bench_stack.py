"""The stacks that the benchmark deploys are ones that the program accepts."""

from __future__ import annotations

import pytest
import yaml

from local.bench_stack import stack_file
from stacks.load import PROJECT, parse


@pytest.mark.parametrize("models", [1, 10, 50])
def test_a_stack_of_any_size_is_accepted(models: int) -> None:
    config = yaml.safe_load(stack_file(models))["config"]
    values = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in config.items()
        if key.startswith(f"{PROJECT}:")
    }
    stack = parse(values, "benchmark")
    assert len(stack.models) == models
    assert stack.node_pools[0].max_nodes > models
