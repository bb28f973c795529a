"""What Envoy starts with: where it finds the rest, its administration, its readiness and metrics."""

from __future__ import annotations

from serving.envoy.documents import Document, socket_address, typed, watched_file
from serving.envoy.listeners import ADMIN_CLUSTER, ADMIN_PORT, metrics_listener
from serving.envoy.memory import MEMORY_MIB, MIB

LISTENERS_FILE = "listeners.yaml"
CLUSTERS_FILE = "clusters.yaml"

HEAP = "envoy.resource_monitors.fixed_heap"

MAX_CONNECTIONS = 20_000
"""Clients' connections to one gateway pod, at about 20 KiB each; more are refused, not queued."""

HEAP_SHARE = 0.9
"""Part of the limit that the heap may take: stacks and code of the threads need the rest."""

SHRINK_AT = 0.9
REFUSE_AT = 0.95
"""Parts of the heap from which free memory is given back, and from which requests get 503.

What is being answered goes on: refusing comes before the kernel would end all of it at once.
"""


def bootstrap(memory_mib: int = MEMORY_MIB) -> Document:
    """The bootstrap document. It never changes with the models, so adding one restarts nothing.

    memory_mib: limit of the pod.
    """
    heap = typed(
        "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        max_heap_size_bytes=int(HEAP_SHARE * memory_mib * MIB),
    )
    connections = typed(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=MAX_CONNECTIONS,
    )
    admin = {"endpoint": {"address": socket_address("127.0.0.1", ADMIN_PORT)}}
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": socket_address("127.0.0.1", ADMIN_PORT)},
        "dynamic_resources": {
            "lds_config": watched_file(LISTENERS_FILE),
            "cds_config": watched_file(CLUSTERS_FILE),
        },
        "static_resources": {
            "listeners": [metrics_listener()],
            "clusters": [
                {
                    "name": ADMIN_CLUSTER,
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {
                        "cluster_name": ADMIN_CLUSTER,
                        "endpoints": [{"lb_endpoints": [admin]}],
                    },
                }
            ],
        },
        "overload_manager": {
            "refresh_interval": "0.25s",
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": connections,
                },
                {"name": HEAP, "typed_config": heap},
            ],
            "actions": [
                _from("envoy.overload_actions.shrink_heap", SHRINK_AT),
                _from("envoy.overload_actions.stop_accepting_requests", REFUSE_AT),
            ],
        },
    }


def _from(action: str, share: float) -> Document:
    """An action that is taken while at least this share of the heap is in use."""
    return {"name": action, "triggers": [{"name": HEAP, "threshold": {"value": share}}]}
