"""Karpenter buys on demand before spot, and spot once on-demand is sold out or its share is used up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from infra.scheduling import GPU_TAINT
from local.cluster.instance_types import karpenter_instance_types
from tests.local.on_cluster.deployment import Deployed, deployed
from tests.stacks.environments import local_values

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster

SOLD_OUT = "g7e.12xlarge"
"""What pool rtx-pro-6000 buys for chat-large, one machine for each replica."""


def values() -> dict[str, Any]:
    values = local_values()
    values["cluster"]["node_startup_seconds"] = 0
    small, large = values["node_pools"]
    # 3 on-demand and 3 spot; 2 on-demand and 1 spot.
    small.update(capacity=["on-demand", "spot"], max_nodes=6, warm_nodes=1)
    large.update(capacity=["on-demand", "spot"], max_nodes=3)
    return values


@contextmanager
def sold_out_on_demand(machine_type: str) -> Iterator[None]:
    """Karpenter with a catalogue in which this type has no on-demand machine left; it reads it at start."""
    from local.cluster.karpenter import INSTANCE_TYPES

    catalogue = json.loads(karpenter_instance_types())
    for row in catalogue:
        # Left out and not marked: KWOK takes every offering that it reads for available.
        if row["name"] == machine_type:
            row["offerings"] = [item for item in row["offerings"] if "on-demand" not in str(item)]
    INSTANCE_TYPES.write_text(json.dumps(catalogue))
    try:
        restart_karpenter()
        yield
    finally:
        INSTANCE_TYPES.write_text(karpenter_instance_types())
        restart_karpenter()


def restart_karpenter() -> None:
    from local.cluster.supervision import Supervisor

    supervisor = Supervisor()
    supervisor.stop("karpenter")
    supervisor.start("karpenter")


@pytest.fixture(scope="module")
def platform(cluster: Cluster) -> Iterator[Deployed]:
    with sold_out_on_demand(SOLD_OUT), deployed(cluster, values()) as found:
        yield found


def wait_for_machines(platform: Deployed, pool: str, **wanted: int) -> list[dict[str, Any]]:
    """The machines of the pool once it has as many of each capacity type as wanted."""
    nodes: list[dict[str, Any]] = []

    def there() -> bool:
        nodes[:] = platform.items("nodes", "-l", f"llm-platform/node-pool={pool}")
        found = Counter(node["metadata"]["labels"]["karpenter.sh/capacity-type"] for node in nodes)
        return found == Counter({kind.replace("_", "-"): count for kind, count in wanted.items()})

    platform.until(there, f"{wanted} in pool {pool}")
    return nodes


def node_pools(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["metadata"]["labels"]["karpenter.sh/nodepool"] for node in nodes}


def names(nodes: list[dict[str, Any]]) -> list[str]:
    return [node["metadata"]["name"] for node in nodes]


def test_on_demand_comes_first_and_spot_when_its_share_is_used_up(platform: Deployed):
    # One more than there are replicas, for the warm node.
    wait_for_machines(platform, "l4", on_demand=2)
    platform.scale("inference", "chat", 2)
    assert node_pools(wait_for_machines(platform, "l4", on_demand=3)) == {"l4"}

    platform.scale("inference", "chat", 3)
    assert node_pools(wait_for_machines(platform, "l4", on_demand=3, spot=1)) == {"l4", "l4.spot"}
    platform.wait_ready("warm-nodes", "l4", 1)
    platform.wait_ready("inference", "chat", 3)
    platform.scale("inference", "chat", 5)
    wait_for_machines(platform, "l4", on_demand=3, spot=3)
    platform.wait_ready("inference", "chat", 5)
    spot = platform.items("nodes", "-l", "karpenter.sh/nodepool=l4.spot")
    assert (
        len({pod["spec"]["nodeName"] for pod in platform.pods("inference", "chat")} & set(names(spot))) == 2
    )
    for node in spot:
        assert GPU_TAINT.key in {taint["key"] for taint in node["spec"]["taints"]}


def test_spot_is_bought_while_on_demand_is_sold_out_and_on_demand_again_afterwards(platform: Deployed):
    assert node_pools(wait_for_machines(platform, "rtx-pro-6000", spot=1)) == {"rtx-pro-6000.spot"}
    platform.wait_ready("inference", "chat-large", 1)
    # The share of spot is one machine: the second replica waits for one on demand.
    platform.scale("inference", "chat-large", 2)
    with sold_out_on_demand(""):
        wait_for_machines(platform, "rtx-pro-6000", spot=1, on_demand=1)
        platform.wait_ready("inference", "chat-large", 2)
