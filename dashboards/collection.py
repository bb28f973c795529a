"""What configures Prometheus, as objects of its operator: which pods it reads, and what it records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from dashboards.recording_rules import ScaledModel, pool_rule_group, rule_group
from infra.cluster import Cluster
from serving.engines import engine_of
from serving.engines.engine import Engine
from serving.names import (
    COMPONENT_LABEL,
    ENGINE_LABEL,
    GATEWAY,
    GATEWAY_NAMESPACE,
    HTTP_PORT_NAME,
    INFERENCE_NAMESPACE,
    METRICS_PORT_NAME,
    NAME_LABEL,
    labels,
)
from serving.signals import SERVICE_LABEL

API_VERSION = "monitoring.coreos.com/v1"

ENGINES = "engines"
"""Name of the PodMonitor of all engines."""

NODE_POOLS = "llm-platform.node-pools"
"""Name of the PrometheusRule of all node pools. Models' rules have the models' names, which hold no dot."""

PLAIN_TEXT = "PrometheusText0.0.4"
"""The exposition format in which every engine keeps its own names: with OpenMetrics, some put an underscore
for the colon of `vllm:` or `sglang:`, depending on the version of Prometheus that asks."""


def engine_monitor_spec(interval_seconds: int, engines: Sequence[Engine]) -> Mapping[str, object]:
    """Spec of the PodMonitor that reads the pods of these engines, each at its own port, and names the model
    that each series is about."""
    return {
        "selector": {"matchLabels": {COMPONENT_LABEL: "engine"}},
        "scrapeProtocols": [PLAIN_TEXT],
        "podMetricsEndpoints": [
            {
                "port": METRICS_PORT_NAME if engine.has_metrics_port else HTTP_PORT_NAME,
                "path": "/metrics",
                "interval": f"{interval_seconds}s",
                "relabelings": [
                    # A pod that has this port and another engine is read elsewhere.
                    *([_only(engine)] if len(engines) > 1 else []),
                    {"sourceLabels": [_pod_label(NAME_LABEL)], "targetLabel": SERVICE_LABEL},
                    {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"},
                ],
                "metricRelabelings": [
                    {"sourceLabels": ["__name__"], "regex": dropped, "action": "drop"}
                    for dropped in engine.metrics.dropped
                ],
            }
            for engine in engines
        ],
    }


def _only(engine: Engine) -> Mapping[str, object]:
    return {"sourceLabels": [_pod_label(ENGINE_LABEL)], "regex": engine.name, "action": "keep"}


def gateway_monitor_spec(interval_seconds: int) -> Mapping[str, object]:
    """Spec of the PodMonitor that reads the gateway."""
    return {
        "selector": {"matchLabels": {COMPONENT_LABEL: "gateway"}},
        "scrapeProtocols": [PLAIN_TEXT],
        "podMetricsEndpoints": [
            {
                "port": METRICS_PORT_NAME,
                "path": "/stats/prometheus",
                "interval": f"{interval_seconds}s",
                # Envoy exposes over a thousand series; these are the ones about requests and its own health.
                "metricRelabelings": [
                    {
                        "sourceLabels": ["__name__"],
                        "regex": "envoy_(gateway|http|cluster_(upstream|membership)|server|listener)_.+",
                        "action": "keep",
                    }
                ],
            }
        ],
    }


def _pod_label(name: str) -> str:
    """A pod's label as Prometheus' discovery names it."""
    return "__meta_kubernetes_pod_label_" + "".join(c if c.isalnum() else "_" for c in name)


@dataclass
class MetricsCollectionArgs:
    """cluster: where Prometheus' operator runs. models, node_pools: those whose signals are recorded."""

    cluster: Cluster
    models: Sequence[ScaledModel]
    node_pools: Sequence[str]


class MetricsCollection(pulumi.ComponentResource):
    """PodMonitors for engines and gateway, and the recording rules of each model."""

    def __init__(
        self, name: str, args: MetricsCollectionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-platform:dashboards:MetricsCollection", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.cluster.provider)
        interval = args.cluster.prometheus.interval_seconds
        CustomResource(
            f"{name}-engines",
            api_version=API_VERSION,
            kind="PodMonitor",
            metadata=_metadata(ENGINES, INFERENCE_NAMESPACE),
            spec=engine_monitor_spec(
                interval, [engine_of(name) for name in sorted({model.engine for model in args.models})]
            ),
            opts=child,
        )
        CustomResource(
            f"{name}-gateway",
            api_version=API_VERSION,
            kind="PodMonitor",
            metadata=_metadata(GATEWAY, GATEWAY_NAMESPACE),
            spec=gateway_monitor_spec(interval),
            opts=child,
        )
        for model in args.models:
            CustomResource(
                f"{name}-{model.name}",
                api_version=API_VERSION,
                kind="PrometheusRule",
                metadata=_metadata(model.name, INFERENCE_NAMESPACE),
                spec={"groups": [rule_group(model, interval)]},
                opts=child,
            )
        CustomResource(
            f"{name}-node-pools",
            api_version=API_VERSION,
            kind="PrometheusRule",
            metadata=_metadata(NODE_POOLS, INFERENCE_NAMESPACE),
            spec={"groups": [pool_rule_group(args.node_pools, interval)]},
            opts=child,
        )
        self.register_outputs({})


def _metadata(name: str, namespace: str) -> ObjectMetaArgs:
    return ObjectMetaArgs(name=name, namespace=namespace, labels=labels(name, component="metrics"))
