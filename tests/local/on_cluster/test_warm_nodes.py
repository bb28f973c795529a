"""A burst replica finds a machine: by placeholder pods in one pool, by a CapacityBuffer in the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.on_cluster.deployment import Deployed, deployed
from tests.stacks.environments import local_values

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster

POOLS = {"chat": "l4", "chat-large": "rtx-pro-6000"}
NODE_STARTUP_SECONDS = 5
SCHEDULED_WITHIN_SECONDS = 3
"""Less than a machine takes to start, so that no replica that had to wait for one can pass."""


def values() -> dict[str, Any]:
    values = local_values()
    values["cluster"]["node_startup_seconds"] = NODE_STARTUP_SECONDS
    mechanisms = ("placeholder_pods", "capacity_buffer")
    for pool, mechanism in zip(values["node_pools"], mechanisms, strict=True):
        pool.update(warm_nodes=1, warm_capacity=mechanism, scale_down_after_seconds=5)
    return values


@pytest.fixture(scope="module")
def platform(cluster: Cluster) -> Iterator[Deployed]:
    with deployed(cluster, values()) as found:
        for model in POOLS:
            found.scale("inference", model, 1)
        yield found


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def ready_nodes(platform: Deployed, pool: str) -> dict[str, datetime]:
    """When each ready machine of the pool was bought."""
    return {
        node["metadata"]["name"]: time_of(node["metadata"]["creationTimestamp"])
        for node in platform.items("nodes", "-l", f"llm-platform/node-pool={pool}")
        if any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in node["status"].get("conditions", [])
        )
    }


def placed(platform: Deployed, model: str) -> dict[str, dict[str, Any]]:
    """The pods of a model that have a machine, by uid."""
    return {
        pod["metadata"]["uid"]: pod for pod in platform.pods("inference", model) if "nodeName" in pod["spec"]
    }


def wait_for_machines(platform: Deployed, pool: str, count: int) -> None:
    platform.until(lambda: len(ready_nodes(platform, pool)) == count, f"{count} machines in pool {pool}")


def wait_for_placed(platform: Deployed, model: str, count: int) -> None:
    platform.until(lambda: len(placed(platform, model)) == count, f"{count} placed replicas of {model}")


def test_a_burst_replica_lands_on_the_warm_machine_and_another_is_bought(platform: Deployed):
    for model, pool in POOLS.items():
        wait_for_machines(platform, pool, 2)
        wait_for_placed(platform, model, 1)
    platform.wait_ready("warm-nodes", "l4", 1)
    warm = {pool: ready_nodes(platform, pool) for pool in POOLS.values()}
    first = {model: set(placed(platform, model)) for model in POOLS}

    for model in POOLS:
        platform.scale("inference", model, 2)
    for model, pool in POOLS.items():
        wait_for_placed(platform, model, 2)
        (burst,) = (pod for uid, pod in placed(platform, model).items() if uid not in first[model])
        created = time_of(burst["metadata"]["creationTimestamp"])
        scheduled = next(
            time_of(condition["lastTransitionTime"])
            for condition in burst["status"]["conditions"]
            if condition["type"] == "PodScheduled"
        )
        assert warm[pool][burst["spec"]["nodeName"]] < created
        assert (scheduled - created).total_seconds() < SCHEDULED_WITHIN_SECONDS

    for pool in POOLS.values():
        wait_for_machines(platform, pool, 3)
    platform.wait_ready("warm-nodes", "l4", 1)
