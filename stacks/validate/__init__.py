"""Rules of a stack file that span several fields or need a table: one module for each section."""

from __future__ import annotations

from stacks.config import Stack
from stacks.problems import Problem
from stacks.validate.cluster import check_cluster
from stacks.validate.gateway import check_gateway
from stacks.validate.models import check_model
from stacks.validate.names import duplicates
from stacks.validate.node_pools import check_pool
from stacks.validate.observability import check_observability
from stacks.validate.prices import check_prices
from stacks.validate.routing import check_revision, check_routing
from stacks.validate.weights import check_weights


def check(stack: Stack) -> list[Problem]:
    """Every problem of a stack whose sections are each valid by themselves."""
    problems = [
        *check_cluster(stack),
        *check_gateway(stack.gateway, stack.cluster),
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
