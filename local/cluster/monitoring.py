"""Prometheus, its operator and kube-state-metrics outside the cluster.

What a Pulumi program registers (PodMonitor, PrometheusRule) is read by the real operator, which writes a
configuration; `prometheus_configuration` carries that to the real Prometheus. Nothing here knows a metric.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from infra.local import METRICS_INTERVAL_SECONDS
from local.cluster import prometheus_configuration
from local.cluster.ports import Ports
from local.cluster.prometheus_configuration import cluster_tls
from local.cluster.supervision import Program
from local.paths import KUBECONFIG, ROOT, STATE
from local.toolchain.obtain import Toolchain

NAMESPACE = "monitoring"
NAME = "local"
DATA = STATE / "prometheus-data"
EVALUATION_INTERVAL = f"{METRICS_INTERVAL_SECONDS}s"
"""Scrapes and rules that do not say otherwise."""

ENGINE_PORT, GATEWAY_METRICS_PORT, TRITON_METRICS_PORT = 8000, 9902, 8002
"""Container ports that may be scraped: each needs a relabelling to the pod's real address."""

STATE_RESOURCES = (
    "deployments",
    "endpointslices",
    "horizontalpodautoscalers",
    "jobs",
    "namespaces",
    "nodes",
    "poddisruptionbudgets",
    "pods",
    "replicasets",
    "services",
)


def custom_resource_definitions(toolchain: Toolchain) -> Path:
    return toolchain.path("prometheus-operator").parent / "crds"


def programs(toolchain: Toolchain, ports: Ports) -> tuple[Program, ...]:
    prometheus_configuration.prepare()
    pki = cluster_tls()
    return (
        Program(
            name="kube-state-metrics",
            command=(
                str(toolchain.path("kube-state-metrics")),
                f"--kubeconfig={KUBECONFIG}",
                "--host=127.0.0.1",
                f"--port={ports.kube_state_metrics}",
                "--telemetry-host=127.0.0.1",
                f"--telemetry-port={ports.kube_state_metrics_telemetry}",
                f"--resources={','.join(STATE_RESOURCES)}",
                "--metric-labels-allowlist=pods=[*],nodes=[*],deployments=[*]",
            ),
            order=41,
        ),
        Program(
            name="prometheus-operator",
            command=(
                str(toolchain.path("prometheus-operator")),
                f"--apiserver={pki.server}",
                f"--ca-file={pki.authority}",
                f"--cert-file={pki.certificate}",
                f"--key-file={pki.key}",
                f"--web.listen-address=127.0.0.1:{ports.prometheus_operator}",
                "--kubelet-endpoints=false",
            ),
            order=41,
        ),
        Program(
            name="prometheus",
            command=(
                str(toolchain.path("prometheus")),
                f"--config.file={prometheus_configuration.CONFIGURATION}",
                f"--storage.tsdb.path={DATA}",
                "--storage.tsdb.retention.time=1d",
                f"--web.listen-address=127.0.0.1:{ports.prometheus}",
            ),
            order=42,
        ),
        Program(
            name="prometheus-configuration",
            command=(
                sys.executable,
                "-m",
                "local.cluster.prometheus_configuration",
                f"http://127.0.0.1:{ports.prometheus}",
            ),
            order=43,
            environment={
                "KUBECONFIG": str(KUBECONFIG),
                "LLM_PLATFORM_STATE": str(STATE),
                "PYTHONPATH": str(ROOT),
            },
        ),
    )


def manifests(ports: Ports) -> list[dict[str, Any]]:
    """The Prometheus object, as kube-prometheus-stack would bring it, with the local particularities."""
    pki = cluster_tls()
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "additional-scrapes", "namespace": NAMESPACE},
            "stringData": {"scrapes.yaml": yaml.safe_dump(process_scrapes(ports), sort_keys=False)},
        },
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "Prometheus",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                # The operator only writes the configuration: Prometheus itself is a process of this machine.
                "replicas": 0,
                "version": "v3.14.0",
                "scrapeInterval": EVALUATION_INTERVAL,
                "evaluationInterval": EVALUATION_INTERVAL,
                "podMonitorSelector": {},
                "podMonitorNamespaceSelector": {},
                "serviceMonitorSelector": {},
                "serviceMonitorNamespaceSelector": {},
                "ruleSelector": {},
                "ruleNamespaceSelector": {},
                "apiserverConfig": {
                    "host": pki.server,
                    "tlsConfig": {
                        "caFile": str(pki.authority),
                        "certFile": str(pki.certificate),
                        "keyFile": str(pki.key),
                    },
                },
                "scrapeClasses": [
                    {"name": "loopback", "default": True, "relabelings": address_relabelings()}
                ],
                "additionalScrapeConfigs": {"name": "additional-scrapes", "key": "scrapes.yaml"},
            },
        },
    ]


def address_relabelings() -> list[dict[str, Any]]:
    """Dials a pod at its real loopback address, and drops whatever has none.

    Pod addresses are fictitious: without the keep rule Prometheus would send packets to them.
    """
    return [
        *(
            {
                "sourceLabels": [
                    "__meta_kubernetes_pod_container_port_number",
                    f"__meta_kubernetes_pod_annotation_local_llm_platform_address_{port}",
                ],
                "regex": f"{port};(.+)",
                "targetLabel": "__address__",
                "replacement": "$1",
            }
            for port in (ENGINE_PORT, GATEWAY_METRICS_PORT, TRITON_METRICS_PORT)
        ),
        {"sourceLabels": ["__address__"], "regex": r"127\.0\.0\.1:\d+", "action": "keep"},
    ]


def process_scrapes(ports: Ports) -> list[dict[str, Any]]:
    """Parts of the cluster that are processes here and pods in a real one, under the same job names."""
    return [
        {
            "job_name": job,
            "honor_labels": job == "kube-state-metrics",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for job, port in (
            ("kube-state-metrics", ports.kube_state_metrics),
            ("karpenter", ports.karpenter_metrics),
            ("keda-operator", ports.keda_operator_metrics),
            ("keda-adapter", ports.keda_adapter_metrics),
        )
    ]
