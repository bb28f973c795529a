"""One model behind the gateway, on machines that come at once: where a change meets streams in flight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.local.on_cluster.deployment import Deployed, deployed
from tests.stacks.environments import local_values

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster


def chat_alone() -> dict[str, Any]:
    """`chat` and its pool, with room for more replicas and for a second model."""
    values = local_values()
    values["models"] = values["models"][:1]
    values["node_pools"] = values["node_pools"][:1]
    values["node_pools"][0]["max_nodes"] = 12
    values["cluster"]["node_startup_seconds"] = 0
    return values


@contextmanager
def answering(cluster: Cluster, values: dict[str, Any]) -> Iterator[Deployed]:
    """The environment, once one gateway pod and one replica of `chat` are ready."""
    with deployed(cluster, values) as found:
        found.scale("inference", "chat", 1)
        found.wait_ready("gateway", "gateway", 1)
        found.wait_ready("inference", "chat", 1)
        yield found
