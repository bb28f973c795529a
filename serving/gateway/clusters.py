"""The gateway's back ends: clusters of each Service, its hosts the replicas behind a headless Service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from serving.gateway import canary
from serving.gateway.affinity import Balancing, hashing
from serving.gateway.attempts import Destination, balancings, cluster_name, own, stable
from serving.gateway.documents import Document, discovery, socket_address, typed
from serving.gateway.served import ServedModel, Upstream
from serving.gateway.tries import RETRIES
from serving.names import INFERENCE_NAMESPACE, service_host

UNLIMITED = 65535
"""Envoy allows 1024 connections per cluster by default. What is bounded here is requests."""

MAX_RETRIES_AT_ONCE = 1024
"""With the default of 3, 19 of 200 requests failed while replicas came and went; with this, none."""

CHECK_SECONDS = 2
"""Between two looks at a replica, and before the next after a failed one."""

CHECK_PATIENCE_SECONDS = 3
"""How long a replica may take for an answer that costs it nothing. Two in a row have to take longer before it
is left out: an engine whose one loop reads a long body or many images is slower than usual, not stuck."""

CHECK_FAILURES = 2

SILENCE_SECONDS = CHECK_FAILURES * (CHECK_SECONDS + CHECK_PATIENCE_SECONDS)
"""How long a replica that takes connections and answers nothing gets requests, at the longest."""

COMPOSITE = "extensions.clusters.composite.v3.ClusterConfig"


def cluster_documents(models: Sequence[ServedModel]) -> Document:
    """The discovery document with the clusters of all models."""
    return discovery(*(cluster for model in models for cluster in _clusters(model)))


def _clusters(model: ServedModel) -> Iterator[Document]:
    for service in services(model):
        for balancing in balancings(model):
            yield _service_cluster(service, model.upstream, model.max_in_flight, balancing)
    for destination in _destinations(model):
        if len(destination.attempts) > 1:
            for balancing in balancings(model):
                yield _composite_cluster(destination, balancing)


def _destinations(model: ServedModel) -> tuple[Destination, ...]:
    """All that the routes of a model name."""
    tried = () if model.canary is None else (canary.destination(model, model.canary),)
    return tuple(dict.fromkeys((own(model), stable(model), *tried)))


def services(model: ServedModel) -> tuple[str, ...]:
    """The Services that belong to a model."""
    return (model.name,) if model.canary is None else (model.name, model.canary.service)


def _service_cluster(service: str, upstream: Upstream, max_in_flight: int, balancing: Balancing) -> Document:
    name = cluster_name(service, balancing)
    endpoint = {
        "address": socket_address(service_host(service, INFERENCE_NAMESPACE), upstream.port),
        # What the answer's header calls the Service; the address is resolved all the same.
        "hostname": service,
    }
    return typed(
        "config.cluster.v3.Cluster",
        name=name,
        type="STRICT_DNS",  # asked again every 5 s
        dns_lookup_family="V4_PREFERRED",
        connect_timeout="2s",
        # What is read of an answer ahead of its client. With Envoy's default of 1 MiB, a thousand clients who
        # did not read their answers took 940 MiB; with this, 190.
        per_connection_buffer_limit_bytes=32 * 1024,
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
        **_balancing(balancing),
        circuit_breakers=_circuit_breakers(max_in_flight),
        health_checks=[_check(upstream.check_path)],
        # A replica that leaves is healthy until its end, and gets nothing new once its address is gone.
        ignore_health_on_host_removal=True,
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
                common_http_protocol_options={"idle_timeout": f"{upstream.keep_alive_seconds - 1}s"},
            )
        },
        # A stream may be silent for minutes while a long prompt is read; a dead peer is noticed all the same.
        upstream_connection_options={
            "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 10, "keepalive_probes": 3}
        },
    )


def _balancing(balancing: Balancing) -> Document:
    # Requests differ a hundredfold in length: the replica with the fewest in flight is the freest.
    chosen = hashing() if balancing == "affinity" else {"lb_policy": "LEAST_REQUEST"}
    common = chosen.get("common_lb_config", {})
    assert isinstance(common, Mapping)
    # A replica that fails its check is left out as long as another one is left, not only while half of them
    # are (Envoy's default). If none is, requests go to all: it is better to wait than to be told that the
    # model sleeps, and a model's first replica is not kept waiting for its first check.
    return {**chosen, "common_lb_config": {**common, "healthy_panic_threshold": {"value": 1}}}


def _check(path: str) -> Document:
    """Whether a replica answers at all. One that is stuck draws the traffic: clients give up on it, which
    leaves it the least busy.

    HEAD of /health is 405 at once in vLLM 0.32, SGLang 0.5 and the emulator, whatever they compute; GET
    generates a token in SGLang and takes a second. What the answer says is the kubelet's to judge.
    """
    return {
        "timeout": f"{CHECK_PATIENCE_SECONDS}s",
        "interval": f"{CHECK_SECONDS}s",
        # Envoy's default of 60 s for clusters that have had no request yet.
        "no_traffic_interval": f"{CHECK_SECONDS}s",
        "unhealthy_threshold": CHECK_FAILURES,
        "healthy_threshold": 1,
        "http_health_check": {
            "path": path,
            "method": "HEAD",
            "expected_statuses": [{"start": 100, "end": 600}],
        },
    }


def _composite_cluster(destination: Destination, balancing: Balancing) -> Document:
    assert len(destination.attempts) == RETRIES + 1, "Envoy fails an attempt that has no cluster"
    clusters = [{"name": cluster_name(service, balancing)} for service in destination.attempts]
    return typed(
        "config.cluster.v3.Cluster",
        name=destination.cluster(balancing),
        cluster_type={
            "name": "envoy.clusters.composite",
            "typed_config": typed(COMPOSITE, clusters=clusters),
        },
        lb_policy="CLUSTER_PROVIDED",
        connect_timeout="2s",
        # Of retries alone: requests count where they go.
        circuit_breakers=_circuit_breakers(UNLIMITED),
    )


def _circuit_breakers(max_requests: int) -> Document:
    return {
        "thresholds": [
            {
                "max_connections": UNLIMITED,
                "max_pending_requests": UNLIMITED,
                "max_requests": max_requests,
                "max_retries": MAX_RETRIES_AT_ONCE,
            }
        ]
    }
