"""Names and labels of what the program registers, for everything that finds something by name."""

from __future__ import annotations

from collections.abc import Mapping

INFERENCE_NAMESPACE = "inference"
GATEWAY_NAMESPACE = "gateway"

GATEWAY = "gateway"
"""Name of the gateway's Deployment and Service."""

STAGING = "staging"
"""Name of the Jobs that stage weights, beside the engines: they may connect to the hub or a bucket."""

NAME_LABEL = "app.kubernetes.io/name"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
ENGINE_LABEL = "inference.llm-platform/engine"

STORE_LABEL = "inference.llm-platform/reads-bucket"
"""Of staging Jobs that read a bucket: only they may ask for the identity that opens it."""

HTTP_PORT_NAME = "http"
HTTPS_PORT_NAME = "https"
METRICS_PORT_NAME = "metrics"
ENGINE_PORT = 8000
GATEWAY_PORT = 80


def labels(name: str, component: str) -> Mapping[str, str]:
    """Labels of every object that belongs to the workload `name`."""
    return {NAME_LABEL: name, COMPONENT_LABEL: component, MANAGED_BY_LABEL: "pulumi"}


def selector(name: str) -> Mapping[str, str]:
    """What selects the pods of the workload `name`, and nothing else in its namespace.

    A Deployment's selector cannot change, so it holds only what never does.
    """
    return {NAME_LABEL: name}


def service_host(name: str, namespace: str) -> str:
    """DNS name of a Service inside the cluster."""
    return f"{name}.{namespace}.svc.cluster.local"
