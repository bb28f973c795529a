"""Rules of `cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, collapse_addresses

from sizing.choices import valid_choices
from sizing.hardware.kubernetes_releases import releases_of
from sizing.hardware.machines import SYSTEM_SHAPES, Cloud
from sizing.hardware.regions import regions_of
from stacks.config import Cluster, Stack
from stacks.problems import Problem
from stacks.validate.prices import unpriced

WIDEST_PREFIX = 8
"""Shortest prefix of a network that may reach the API server: 10.0.0.0/8 is the largest private network, and
few companies have as many public addresses."""


def check_cluster(stack: Stack) -> Iterator[Problem]:
    cluster = stack.cluster
    yield from _check_name(cluster)
    yield from _check_api_networks(cluster)
    if cluster.charges is None:
        return
    for cloud in cluster.clouds:
        yield from _check_region(cluster, cluster.charges.region, cloud)
        yield from _check_release(cluster, cloud)
    yield from _check_system_nodes(stack, cluster.charges.system_nodes.machine_type)


def _check_name(cluster: Cluster) -> Iterator[Problem]:
    longest = cluster.longest_name
    if len(cluster.name) > longest.characters:
        yield Problem(
            "cluster.name",
            f'"{cluster.name}" has {len(cluster.name)} characters, and {longest.characters} leave room for '
            f"the names made from it ({longest.of}). Shorten it now: it cannot be changed later",
        )


def _check_api_networks(cluster: Cluster) -> Iterator[Problem]:
    """Networks that together are as good as the internet, however they are cut up."""
    together = collapse_addresses(IPv4Network(network) for network in cluster.api_networks)
    for network in together:
        if network.prefixlen < WIDEST_PREFIX:
            yield Problem(
                "cluster.api_allowed_cidrs",
                f"the API server would be open to {network.num_addresses:,} addresses ({network}). Name the "
                f"networks of your office or VPN, none wider than /{WIDEST_PREFIX}, or write [] for a "
                "private endpoint",
            )


def _check_region(cluster: Cluster, region: str, cloud: Cloud) -> Iterator[Problem]:
    known = regions_of(cloud)
    if region not in known.regions:
        yield Problem(
            "cluster.region",
            f'"{region}" is not a region of {cloud} ({known.as_of}): {valid_choices(region, known.regions)}. '
            f"A newer one is a line in sizing/hardware/data/regions.{cloud}.yaml",
        )
    elif cluster.spans is not None and cluster.spans > known.zones_of(region):
        yield Problem(
            "cluster.zones",
            f"{cluster.spans} is more than the {known.zones_of(region)} availability zones of {region} in "
            f"which a cluster can run: set 2 to {known.zones_of(region)}",
        )


def _check_release(cluster: Cluster, cloud: Cloud) -> Iterator[Problem]:
    offered = releases_of(cloud)
    if (
        offered is not None
        and cluster.kubernetes is not None
        and str(cluster.kubernetes) not in offered.releases
    ):
        *others, newest = offered.releases
        yield Problem(
            "cluster.version",
            f'"{cluster.kubernetes}" is not offered by {cloud} ({offered.as_of}): use "{newest}", the newest'
            f", or one of {', '.join(others)}",
        )


def _check_system_nodes(stack: Stack, wanted: str) -> Iterator[Problem]:
    place = "cluster.system_nodes.machine_type"
    fitting = [name for name, row in SYSTEM_SHAPES.items() if row.cloud in stack.cluster.clouds]
    if wanted not in fitting:
        choices = valid_choices(wanted, fitting)
        yield Problem(place, f'"{wanted}" is not a system machine of {stack.cluster.provider}: {choices}')
    elif (without := unpriced(wanted, SYSTEM_SHAPES[wanted].cloud, stack, fitting)) is not None:
        yield Problem(place, without)
