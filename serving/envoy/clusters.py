"""The gateway's back ends: one cluster per model, its hosts the replicas behind a headless Service."""

from __future__ import annotations

from collections.abc import Sequence

from serving.engines.vllm import KEEP_ALIVE_SECONDS
from serving.envoy.documents import Document, discovery, socket_address, typed
from serving.names import ENGINE_PORT, INFERENCE_NAMESPACE, service_host

UNLIMITED = 65535
"""Envoy allows 1024 requests per cluster by default. Here the engines bound their own queues and say 503."""

MAX_RETRIES_AT_ONCE = 1024
"""With the default of 3, 19 of 200 requests failed while replicas came and went; with this, none."""


def cluster_documents(models: Sequence[str]) -> Document:
    """The discovery document with a cluster for each model."""
    return discovery(*(_cluster(model) for model in models))


def _cluster(model: str) -> Document:
    host = service_host(model, INFERENCE_NAMESPACE)
    endpoint = {"endpoint": {"address": socket_address(host, ENGINE_PORT)}}
    return typed(
        "config.cluster.v3.Cluster",
        name=model,
        type="STRICT_DNS",  # asked again every 5 s
        dns_lookup_family="V4_PREFERRED",
        connect_timeout="2s",
        load_assignment={"cluster_name": model, "endpoints": [{"lb_endpoints": [endpoint]}]},
        # Requests differ a hundredfold in length: the replica with the fewest in flight is the freest.
        lb_policy="LEAST_REQUEST",
        circuit_breakers={
            "thresholds": [
                {
                    "max_connections": UNLIMITED,
                    "max_pending_requests": UNLIMITED,
                    "max_requests": UNLIMITED,
                    "max_retries": MAX_RETRIES_AT_ONCE,
                }
            ]
        },
        # A replica that cannot be reached is left out for a few seconds. One that answers 503 because its
        # queue is full is healthy, so answers are not judged.
        outlier_detection={
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_local_origin_success_rate": 0,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                explicit_http_config={"http_protocol_options": {}},
                # Below the engine's own, or a request may go out on a connection that is just being closed.
                common_http_protocol_options={"idle_timeout": f"{KEEP_ALIVE_SECONDS - 1}s"},
            )
        },
        # A stream may be silent for minutes while a long prompt is read; a dead peer is noticed all the same.
        upstream_connection_options={
            "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 10, "keepalive_probes": 3}
        },
    )
