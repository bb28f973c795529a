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
class Cluster:
    """A cluster that models can be put on.

    provider: for every Kubernetes resource; nothing else decides which cluster is changed.
    node_class: what Karpenter's node pools refer to.
    gateway_service_type: how the gateway is reached from outside.
    system_node_selector: where pods without a GPU run.
    requirements: resources that node pools and workloads need before them, and that outlive them.
    """

    name: str
    provider: k8s.Provider
    node_class: NodeClass
    gateway_service_type: Literal["LoadBalancer", "ClusterIP"]
    system_node_selector: Mapping[str, str]
    requirements: tuple[pulumi.Resource, ...]
