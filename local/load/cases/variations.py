"""The environments that are compared, as changed copies of a stack file. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PREFIX = "llm-platform"

SCALE_DOWN_SECONDS = 15
"""Stabilisation and machine expiry in all variations: what is measured is the way up, and the next case waits
for the way down."""


@dataclass(frozen=True)
class Case:
    """One environment. scenario: the load that it gets. model, pool: fields that differ from the stack file.

    ready_before: replicas that are ready, in the end, before the load begins.
    """

    name: str
    what: str
    scenario: str
    ready_before: int
    nodes_before: int
    model: Mapping[str, object] = field(default_factory=dict)
    pool: Mapping[str, object] = field(default_factory=dict)


CASES: Sequence[Case] = (
    # In this order, because each begins with little to take away from what the one before leaves.
    Case("cold", "nothing kept ready: new machine, new replica", "step", ready_before=1, nodes_before=1),
    Case(
        "from-zero",
        "the model sleeps (replicas.min: 0)",
        "wake",
        ready_before=0,
        nodes_before=0,
        model={"replicas": {"min": 0, "max": 4}, "sleep_after_seconds": 30},
    ),
    Case(
        "warm-node",
        "one machine kept ready (warm_nodes: 1)",
        "step",
        ready_before=1,
        nodes_before=2,
        pool={"warm_nodes": 1},
    ),
    Case(
        "hot-spare",
        "one replica more than needed (warm_replicas: 1)",
        "step",
        ready_before=2,
        nodes_before=2,
        # Without load the spare is the one replica that the minimum keeps: it takes two to have one to spare.
        model={"warm_replicas": 1, "replicas": {"min": 2, "max": 5}},
    ),
)


def variation(
    document: Mapping[str, Any], case: Case, model: str, node_startup_seconds: int
) -> dict[str, Any]:
    """The stack file with this case's settings, and only `model` and its pool in it."""
    changed = copy.deepcopy(dict(document))
    config = changed["config"]
    config[f"{PREFIX}:cluster"]["node_startup_seconds"] = node_startup_seconds
    (chosen,) = (row for row in config[f"{PREFIX}:models"] if row["name"] == model)
    (pool,) = (row for row in config[f"{PREFIX}:node_pools"] if row["name"] == chosen["node_pool"])
    chosen |= {"scale_down_stabilization_seconds": SCALE_DOWN_SECONDS, **case.model}
    pool |= {"scale_down_after_seconds": SCALE_DOWN_SECONDS, **case.pool}
    config[f"{PREFIX}:models"] = [chosen]
    config[f"{PREFIX}:node_pools"] = [pool]
    return changed
