"""KEDA outside the cluster: operator and metrics adapter as processes, wired into the API server."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from local.cluster.certificates import issue
from local.cluster.ports import Ports
from local.cluster.supervision import Program
from local.paths import KUBECONFIG, STATE
from local.toolchain.obtain import Toolchain

NAMESPACE = "keda"
ADAPTER_SERVICE = "keda-metrics-apiserver"
ENVIRONMENT = {
    # Empty means all namespaces; unset is an error.
    "WATCH_NAMESPACE": "",
    "POD_NAMESPACE": NAMESPACE,
    "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
}
CERTIFICATES = STATE / "keda-certificates"


def custom_resource_definitions(toolchain: Toolchain) -> Path:
    return toolchain.path("keda-operator").parent / "crds"


def prepare() -> None:
    """Issues the certificate that operator and adapter share."""
    issue(
        CERTIFICATES,
        "keda",
        ("localhost", f"{ADAPTER_SERVICE}.{NAMESPACE}.svc", f"keda-operator.{NAMESPACE}.svc"),
    )


def programs(toolchain: Toolchain, ports: Ports) -> tuple[Program, ...]:
    operator = Program(
        name="keda-operator",
        command=(
            str(toolchain.path("keda-operator")),
            f"--kubeconfig={KUBECONFIG}",
            f"--metrics-bind-address=127.0.0.1:{ports.keda_operator_metrics}",
            f"--health-probe-bind-address=127.0.0.1:{ports.keda_operator_health}",
            f"--metrics-service-bind-address=127.0.0.1:{ports.keda_operator_grpc}",
            f"--cert-dir={CERTIFICATES}",
            "--enable-cert-rotation=false",
            "--zap-log-level=info",
        ),
        order=45,
        environment=ENVIRONMENT,
    )
    adapter = Program(
        name="keda-adapter",
        command=(
            str(toolchain.path("keda-adapter")),
            f"--kubeconfig={KUBECONFIG}",
            f"--authentication-kubeconfig={KUBECONFIG}",
            f"--authorization-kubeconfig={KUBECONFIG}",
            f"--lister-kubeconfig={KUBECONFIG}",
            "--bind-address=127.0.0.1",
            f"--secure-port={ports.keda_adapter}",
            f"--port={ports.keda_adapter_metrics}",
            f"--cert-dir={CERTIFICATES}",
            f"--tls-cert-file={CERTIFICATES / 'tls.crt'}",
            f"--tls-private-key-file={CERTIFICATES / 'tls.key'}",
            f"--client-ca-file={CERTIFICATES / 'ca.crt'}",
            f"--metrics-service-address=127.0.0.1:{ports.keda_operator_grpc}",
            "--metrics-service-grpc-authority=localhost",
        ),
        order=46,
        environment=ENVIRONMENT,
    )
    return operator, adapter


def manifests(ports: Ports) -> list[dict[str, Any]]:
    """The aggregated API that the HPA controller asks for external metrics, served by the adapter."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": ADAPTER_SERVICE, "namespace": NAMESPACE},
            # The API server resolves the name itself: the one way to an aggregated API outside the cluster.
            "spec": {
                "type": "ExternalName",
                "externalName": "localhost",
                "ports": [{"name": "https", "port": ports.keda_adapter}],
            },
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
            "spec": {
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode((CERTIFICATES / "ca.crt").read_bytes()).decode(),
                "service": {
                    "name": ADAPTER_SERVICE,
                    "namespace": NAMESPACE,
                    "port": ports.keda_adapter,
                },
            },
        },
    ]
