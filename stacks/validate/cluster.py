"""Rules of `cluster`."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.choices import valid_choices
from sizing.hardware.machines import SYSTEM_SHAPES
from stacks.config import Stack
from stacks.problems import Problem
from stacks.validate.prices import unpriced


def check_cluster(stack: Stack) -> Iterator[Problem]:
    cluster = stack.cluster
    if cluster.charges is None:
        return
    fitting = [name for name, row in SYSTEM_SHAPES.items() if row.cloud in cluster.clouds]
    wanted = cluster.charges.system_nodes.machine_type
    if wanted not in fitting:
        yield Problem(
            "cluster.system_nodes.machine_type",
            f'"{wanted}" is not a system machine of {cluster.provider}: {valid_choices(wanted, fitting)}',
        )
    elif (without := unpriced(wanted, SYSTEM_SHAPES[wanted].cloud, stack, fitting)) is not None:
        yield Problem("cluster.system_nodes.machine_type", without)
