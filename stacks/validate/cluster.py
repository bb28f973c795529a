"""Rules of `cluster`."""

from __future__ import annotations

from collections.abc import Iterator

from sizing.choices import valid_choices
from sizing.hardware.machines import SYSTEM_MACHINES
from stacks.config import Cluster
from stacks.problems import Problem


def check_cluster(cluster: Cluster) -> Iterator[Problem]:
    if cluster.charges is None:
        return
    fitting = [name for name, row in SYSTEM_MACHINES.items() if row.cloud in cluster.clouds]
    wanted = cluster.charges.system_nodes.machine_type
    if wanted not in fitting:
        yield Problem(
            "cluster.system_nodes.machine_type",
            f'"{wanted}" is not a system machine of {cluster.provider}: {valid_choices(wanted, fitting)}',
        )
