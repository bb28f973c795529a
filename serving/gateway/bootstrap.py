"""What Envoy starts with: where it finds the rest, its administration, its readiness and metrics."""

from __future__ import annotations

from serving.gateway.documents import Document, socket_address, typed, watched_file
from serving.gateway.listeners import (
    ADMIN_CLUSTER,
    ADMIN_PORT,
    CLIENTS,
    CLIENTS_TLS,
    LEAST_HANDSHAKE_SECONDS,
    LEAST_IDLE_SECONDS,
    metrics_listener,
)
from serving.gateway.memory import MEMORY_MIB, MIB

LISTENERS_FILE = "listeners.yaml"
CLUSTERS_FILE = "clusters.yaml"

HEAP = "envoy.resource_monitors.fixed_heap"

MAX_CONNECTIONS = 20_000
"""Clients' connections to one gateway pod; more are refused, not queued. 8 KiB each while they say nothing,
16 once they have been answered (without TLS, Envoy 1.40)."""

HEAP_SHARE = 0.9
"""Part of the limit that the heap may take: stacks and code of the threads need the rest."""

OTHER_CONNECTIONS = 1000
"""Room above it for probes, metrics and administration: clients who hold every connection must not make the
pod look broken. To exempt these listeners from Envoy's common bound loosens the bound: each of their
connections adds one to it when it closes (1.40)."""

HURRY_FROM, HURRY_MOST = 0.1, 0.3
"""Parts of the heap between which idle connections and handshakes get less and less time: 12,000 connections
that say nothing are the first, 20,000 that have been answered the second. Envoy's bound of connections itself
can trigger nothing, and its action that closes idle connections is for HTTP/3 alone (1.40)."""

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
        max_active_downstream_connections=MAX_CONNECTIONS + OTHER_CONNECTIONS,
    )
    hurried = typed(
        "config.overload.v3.ScaleTimersOverloadActionConfig",
        timer_scale_factors=[
            {"timer": "HTTP_DOWNSTREAM_CONNECTION_IDLE", "min_timeout": f"{LEAST_IDLE_SECONDS}s"},
            {"timer": "TRANSPORT_SOCKET_CONNECT", "min_timeout": f"{LEAST_HANDSHAKE_SECONDS}s"},
        ],
    )
    hurry = {"scaling_threshold": HURRY_FROM, "saturation_threshold": HURRY_MOST}
    admin = {"endpoint": {"address": socket_address("127.0.0.1", ADMIN_PORT)}}
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": socket_address("127.0.0.1", ADMIN_PORT)},
        "layered_runtime": {"layers": [{"name": "connections", "static_layer": _most_clients()}]},
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
                {
                    "name": "envoy.overload_actions.reduce_timeouts",
                    "triggers": [{"name": HEAP, "scaled": hurry}],
                    "typed_config": hurried,
                },
                _from("envoy.overload_actions.shrink_heap", SHRINK_AT),
                _from("envoy.overload_actions.stop_accepting_requests", REFUSE_AT),
            ],
        },
    }


def _most_clients() -> Document:
    """Runtime settings with the bound of each listener for clients."""
    return {
        f"envoy.resource_limits.listener.{name}.connection_limit": MAX_CONNECTIONS
        for name in (CLIENTS, CLIENTS_TLS)
    }


def _from(action: str, share: float) -> Document:
    """An action that is taken while at least this share of the heap is in use."""
    return {"name": action, "triggers": [{"name": HEAP, "threshold": {"value": share}}]}
