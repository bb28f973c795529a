"""Rules of `cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import AddressValueError, NetmaskValueError
from ipaddress import IPv4Network as Network

from sizing.choices import valid_choices
from sizing.hardware.machines import SYSTEM_MACHINES
from stacks.config import AwsCluster, Cluster, GcpCluster
from stacks.problems import Problem


def check_cluster(cluster: Cluster) -> Iterator[Problem]:
    if not isinstance(cluster, AwsCluster | GcpCluster):
        return
    for index, cidr in enumerate(cluster.api_allowed_cidrs):
        try:
            Network(cidr)
        except (AddressValueError, NetmaskValueError, ValueError) as error:
            yield Problem(
                f"cluster.api_allowed_cidrs[{index}]",
                f'"{cidr}" is no network: {error}. Write its first address, such as 203.0.113.0/24',
            )
    fitting = [name for name, row in SYSTEM_MACHINES.items() if row.cloud == cluster.provider]
    wanted = cluster.system_nodes.machine_type
    if wanted not in fitting:
        yield Problem(
            "cluster.system_nodes.machine_type",
            f'"{wanted}" is no system machine of {cluster.provider}: {valid_choices(wanted, fitting)}',
        )
