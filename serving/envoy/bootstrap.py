"""What Envoy starts with: where it finds the rest, its administration, its readiness and metrics."""

from __future__ import annotations

from serving.envoy.documents import Document, socket_address, typed, watched_file
from serving.envoy.listeners import ADMIN_CLUSTER, ADMIN_PORT, metrics_listener

LISTENERS_FILE = "listeners.yaml"
CLUSTERS_FILE = "clusters.yaml"

MAX_CONNECTIONS = 20_000
"""Clients' connections to one gateway pod, at about 20 KiB each; more are refused, not queued."""


def bootstrap() -> Document:
    """The bootstrap document. It never changes with the models, so adding one restarts nothing."""
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
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": connections,
                }
            ]
        },
    }
