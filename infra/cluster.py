"""What serving needs from a cluster, whoever runs it: the contract that every target in infra/ fulfils."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s


@dataclass(frozen=True)
class NodeClass:
    """Reference to the provider's own description of a machine image, disk and network, for Karpenter."""

    group: str
    kind: str
    name: str


@dataclass(frozen=True)
class Prometheus:
    """The Prometheus that watches a cluster; its operator reads PodMonitors and PrometheusRules everywhere.

    url: where KEDA and the verify Job reach it. interval_seconds: between two scrapes of a pod, and between
    two evaluations of a rule.
    """

    url: str
    interval_seconds: int


@dataclass(frozen=True)
class Cluster:
    """A cluster that models can be put on.

    provider: for every Kubernetes resource; nothing else decides which cluster is changed.
    node_class: what Karpenter's node pools refer to.
    gateway_service_type: how the gateway is reached from outside.
    system_node_selector: where pods without a GPU run.
    prometheus: what autoscaling reads.
    requirements: resources that node pools and workloads need before them, and that outlive them.
    """

    name: str
    provider: k8s.Provider
    node_class: NodeClass
    gateway_service_type: Literal["LoadBalancer", "ClusterIP"]
    system_node_selector: Mapping[str, str]
    prometheus: Prometheus
    requirements: tuple[pulumi.Resource, ...]
