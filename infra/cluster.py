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
class WeightsStorage:
    """Where weights and compiled kernels are kept, and where weights come from.

    storage_class: of the volumes; None takes the cluster's default. access_mode: ReadWriteMany wherever
    replicas run on several nodes, ReadWriteOnce only on a cluster of one node.
    hub_endpoint: the Hugging Face hub, or a mirror with its API.
    service_account_annotations: what lets the staging Jobs read buckets, such as the role that the account
    stands for. A cloud that binds roles to accounts by name needs none.
    """

    storage_class: str | None
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"]
    hub_endpoint: str
    service_account_annotations: Mapping[str, str]


@dataclass(frozen=True)
class InferenceGateway:
    """A Gateway of the Gateway API that sends requests to InferencePools (inference.networking.k8s.io/v1).

    name, namespace: what an HTTPRoute names as its parent. docs/routing.md says what has to be built on it.
    """

    name: str
    namespace: str


@dataclass(frozen=True)
class Cluster:
    """A cluster that models can be put on.

    provider: for every Kubernetes resource; nothing else decides which cluster is changed.
    node_class: what Karpenter's node pools refer to.
    gateway_service_type: how the gateway is reached from outside.
    system_node_selector: where pods without a GPU run.
    prometheus: what autoscaling reads.
    weights_storage: where the weights of models are kept.
    requirements: resources that node pools and workloads need before them, and that outlive them.
    inference_gateway: one that the cluster already has; None where `gateway.backend` can only be envoy.
    """

    name: str
    provider: k8s.Provider
    node_class: NodeClass
    gateway_service_type: Literal["LoadBalancer", "ClusterIP"]
    system_node_selector: Mapping[str, str]
    prometheus: Prometheus
    weights_storage: WeightsStorage
    requirements: tuple[pulumi.Resource, ...]
    inference_gateway: InferenceGateway | None = None
