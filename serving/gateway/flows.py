"""Every connection that network policies allow: the one table of them, in docs/security.md too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from infra.cluster import Addresses, ClusterNetwork, Pods
from infra.network_policies import Flow, Port
from serving.engines.engine import Engine
from serving.gateway.listeners import HTTP_PORT, METRICS_PORT
from serving.names import (
    COMPONENT_LABEL,
    GATEWAY_NAMESPACE,
    GATEWAY_PORT,
    INFERENCE_NAMESPACE,
    STAGING,
    STORE_LABEL,
    selector,
)

Exposure = Literal["internal", "public"]

ENGINES = Pods(INFERENCE_NAMESPACE, {COMPONENT_LABEL: "engine"})
GATEWAYS = Pods(GATEWAY_NAMESPACE, {COMPONENT_LABEL: "gateway"})
VERIFICATION = Pods(GATEWAY_NAMESPACE, {COMPONENT_LABEL: "verification"})
STAGING_JOBS = Pods(INFERENCE_NAMESPACE, {COMPONENT_LABEL: STAGING})
BUCKET_READERS = Pods(INFERENCE_NAMESPACE, {COMPONENT_LABEL: STAGING, STORE_LABEL: "true"})

ANYWHERE = Addresses(("0.0.0.0/0",))
DNS_PORTS = (Port(53, "UDP"), Port(53, "TCP"))


PUBLIC = Addresses(
    ("0.0.0.0/0",),
    (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ),
)
"""The internet without addresses of networks inside (RFC 6890), the machines' own credentials among them."""


def flows(
    network: ClusterNetwork,
    exposure: Exposure,
    engines: Iterable[Engine],
    client_port: int = HTTP_PORT,
    fetching: Sequence[str] = (),
) -> tuple[Flow, ...]:
    """The flows on a cluster with this network, to these engines. client_port: where gateway pods take
    clients; the verify Job asks without TLS whatever clients do. fetching: Deployments whose engines fetch
    media from the internet. NetworkPolicies know no domains: which ones is up to the engine."""
    clients = (ANYWHERE,) if exposure == "public" else network.clients
    scraper = (network.prometheus.peer,)
    engines = list(engines)
    requests = _ports(engine.upstream.port for engine in engines)
    metrics = _ports(engine.metrics_port for engine in engines)
    unchecked = _ports(engine.upstream.port for engine in engines if not engine.checks_names)
    return (
        Flow("clients-to-gateway", "requests", clients, (GATEWAYS,), (Port(client_port),)),
        Flow("gateway-to-engines", "requests", (GATEWAYS,), (ENGINES,), requests),
        Flow("prometheus-to-engines", "metrics", scraper, (ENGINES,), metrics),
        *(
            [Flow("verification-to-engines", "what they serve", (VERIFICATION,), (ENGINES,), unchecked)]
            if unchecked
            else []
        ),
        Flow("prometheus-to-gateway", "metrics", scraper, (GATEWAYS,), (Port(METRICS_PORT),)),
        Flow(
            "verification-to-gateway",
            "the proof at the end of an update",
            (VERIFICATION,),
            (GATEWAYS,),
            (Port(HTTP_PORT),),
            service_ports=(Port(GATEWAY_PORT),),
        ),
        Flow(
            "verification-to-prometheus",
            "whether autoscaling sees the models",
            (VERIFICATION,),
            (network.prometheus.peer,),
            (Port(network.prometheus.port),),
        ),
        # One for each port: what is open at one address must not be open at another.
        *(
            Flow(
                _numbered("staging-to-stores", index),
                "weights from the hub or a bucket",
                (STAGING_JOBS,),
                (store.peer,),
                (Port(store.port),),
            )
            for index, store in enumerate(network.stores)
        ),
        *(
            Flow(
                _numbered("staging-to-identity", index),
                "the identity with which Jobs that read buckets do so",
                (BUCKET_READERS,),
                (endpoint.peer,),
                (Port(endpoint.port),),
            )
            for index, endpoint in enumerate(network.identities)
        ),
        *(
            Flow(
                f"{name}-to-media",
                "images, sounds and films by address, from the domains that the stack names",
                (Pods(INFERENCE_NAMESPACE, selector(name)),),
                (PUBLIC,),
                (Port(443), Port(80)),
            )
            for name in fetching
        ),
        Flow("engines-to-dns", "names", (ENGINES,), network.dns, DNS_PORTS),
        Flow("staging-to-dns", "names", (STAGING_JOBS,), network.dns, DNS_PORTS),
        Flow("gateway-to-dns", "names", (GATEWAYS,), network.dns, DNS_PORTS),
        Flow("verification-to-dns", "names", (VERIFICATION,), network.dns, DNS_PORTS),
    )


def _ports(numbers: Iterable[int]) -> tuple[Port, ...]:
    return tuple(Port(number) for number in sorted(set(numbers)))


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}-{index + 1}"
