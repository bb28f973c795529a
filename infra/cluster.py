"""What serving needs from a cluster, whoever runs it: the contract that every target in infra/ fulfils."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes_version import KubernetesVersion
from infra.scheduling import NodePool


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
class Entrance:
    """How clients reach the gateway from outside the cluster.

    annotations: of the gateway's Service: what makes a cloud's load balancer internal or public.
    hostname: the DNS name that clients use; None where the load balancer's own address does.
    tls: who ends it: nobody, the gateway's pods, or the load balancer before them.
    """

    service_type: Literal["LoadBalancer", "ClusterIP"]
    annotations: Mapping[str, str]
    hostname: str | None
    tls: Literal["none", "gateway", "load_balancer"]


@dataclass(frozen=True)
class Pods:
    """Pods with all of these labels. namespace: theirs; None is every namespace."""

    namespace: str | None
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Addresses:
    """What has an address in one of `networks` and in none of `excluded`, in CIDR notation."""

    networks: tuple[str, ...]
    excluded: tuple[str, ...] = ()


Peer = Pods | Addresses


@dataclass(frozen=True)
class Endpoint:
    """Where a connection may end. port: of the pod or machine itself, behind whatever Service there is."""

    peer: Peer
    port: int


@dataclass(frozen=True)
class ClusterNetwork:
    """What stands around the workloads on a cluster's network: network policies allow flows to each of these.

    clients: networks from which a gateway is reached that is not public. A load balancer's health checks
    come from there too.
    dns: servers that resolve names, such as those of kube-system; a cache on each machine has an address.
    prometheus: its pods or machines, and the port where it answers.
    stores: where weights are staged from: the hub and buckets.
    identities: where a pod gets its cloud identity. Only Jobs that read buckets may ask there.
    """

    clients: tuple[Peer, ...]
    dns: tuple[Peer, ...]
    prometheus: Endpoint
    stores: tuple[Endpoint, ...]
    identities: tuple[Endpoint, ...]


LINK_LOCAL = "169.254.0.0/16"
"""Where clouds keep the address that answers with a machine's credentials, 169.254.169.254, and others."""


def outside(own: tuple[str, ...]) -> Addresses:
    """Everywhere but the cluster's own networks (pods, Services, machines) and what belongs to a machine."""
    return Addresses(("0.0.0.0/0",), (LINK_LOCAL, "127.0.0.0/8", *own))


CLUSTER_DNS = Pods("kube-system", {"k8s-app": "kube-dns"})
"""CoreDNS and kube-dns, as EKS, GKE and kubeadm label them."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that models can be put on.

    provider: for every Kubernetes resource; nothing else decides which cluster is changed.
    kubernetes: its release; None where it is not known before the update. What a release drops is left out.
    make_pool: registers what a pool of nodes needs, whoever buys them, and returns what pods on the pool wait
    for. It is called once for each pool; what the pools of a cluster have in common it makes before. Returns
    nothing where the nodes are there already.
    entrance: how the gateway is reached from outside.
    system_node_selector: where pods without a GPU run.
    prometheus: what autoscaling reads.
    weights_storage: where the weights of models are kept.
    network: what workloads may reach, and from where they are reached.
    requirements: resources that workloads need before them, and that outlive them.
    """

    provider: k8s.Provider
    kubernetes: KubernetesVersion | None
    make_pool: Callable[[NodePool], tuple[pulumi.Resource, ...]]
    entrance: Entrance
    system_node_selector: Mapping[str, str]
    prometheus: Prometheus
    weights_storage: WeightsStorage
    network: ClusterNetwork
    requirements: tuple[pulumi.Resource, ...]
