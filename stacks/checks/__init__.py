"""Rules of a stack file that span several fields or need a table: one module for each section."""

from __future__ import annotations

from stacks.checks.cluster import check_cluster
from stacks.checks.models import check_model
from stacks.checks.names import duplicates
from stacks.checks.node_pools import check_pool
from stacks.checks.observability import check_observability
from stacks.checks.prices import check_prices
from stacks.checks.routing import check_revision, check_routing
from stacks.checks.weights import check_weights
from stacks.config import Stack
from stacks.problems import Problem


def check(stack: Stack) -> list[Problem]:
    """Every problem of a stack whose sections are each valid by themselves."""
    problems = [
        *check_cluster(stack.cluster),
        *check_prices(stack),
        *check_observability(stack.observability),
        *duplicates("node_pools", [pool.name for pool in stack.node_pools], key=".name"),
        *check_routing(stack),
    ]
    for index, pool in enumerate(stack.node_pools):
        problems += check_pool(f"node_pools[{index}]", pool, stack)
    for index, model in enumerate(stack.models):
        problems += check_model(f"models[{index}]", model, stack)
        problems += check_revision(f"models[{index}]", model)
        problems += check_weights(f"models[{index}]", model, stack.cluster)
    return problems
