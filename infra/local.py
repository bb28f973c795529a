"""The cluster on this machine: a real control plane and node autoscaler, imitated machines.

`make up` starts it; this module tells Pulumi how to reach it.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pulumi
import pulumi_kubernetes as k8s
import yaml
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import (
    CLUSTER_DNS,
    Addresses,
    Cluster,
    ClusterNetwork,
    Endpoint,
    Entrance,
    Prometheus,
    WeightsStorage,
)
from infra.karpenter import KarpenterNodePool, KarpenterNodePoolArgs, NodeClass
from infra.kubernetes_version import LOCAL_RELEASE
from infra.scheduling import NODE_POOL_LABEL, NodePool

NODE_CLASS = NodeClass(group="karpenter.kwok.sh", kind="KWOKNodeClass", name="gpu")

METRICS_INTERVAL_SECONDS = 5
"""A cloud uses 15 s. Here a burst should be seen and answered while somebody watches."""

KUBECONFIG_EXTENSION = "llm-platform"
"""Entry of a cluster in the kubeconfig under which `make up` notes the addresses of its add-ons. Locally they
are processes on ports chosen at the first start, so no name in the cluster leads to them."""

STORAGE_CLASS = "local-folders"
"""Of local/cluster/storage-class.yaml: folders of this machine."""


def prometheus_url(kubeconfig: Path) -> str | None:
    """Address of the cluster's Prometheus, as the kubeconfig notes it; None if it does not."""
    return _noted(kubeconfig, "prometheus")


def hub_url(kubeconfig: Path) -> str | None:
    """Address of the cluster's imitation of the Hugging Face hub; None if the kubeconfig notes none."""
    return _noted(kubeconfig, "hub")


def _noted(kubeconfig: Path, part: str) -> str | None:
    document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    for entry in document.get("clusters", []):
        for extension in entry["cluster"].get("extensions", []):
            if extension["name"] == KUBECONFIG_EXTENSION:
                return extension["extension"].get(part)
    return None


THIS_MACHINE = Addresses(("127.0.0.1/32",))
"""Clients, Prometheus and the hub are processes here, not pods."""


def cluster_network(prometheus: str, hub: str) -> ClusterNetwork:
    """What stands around the workloads, from the addresses of Prometheus and the hub.

    Nothing enforces network policies here. They are registered, in the form that clouds get.
    """
    return ClusterNetwork(
        clients=(THIS_MACHINE,),
        dns=(CLUSTER_DNS,),
        prometheus=Endpoint(THIS_MACHINE, _port(prometheus)),
        stores=(Endpoint(THIS_MACHINE, _port(hub)),),
        identities=(),
    )


def _port(url: str) -> int:
    parts = urlsplit(url)
    if parts.port is not None:
        return parts.port
    return 443 if parts.scheme == "https" else 80


@dataclass
class LocalClusterArgs:
    """kubeconfig: path of the file that reaches the cluster.

    prometheus_url: address of its Prometheus. hub_url: where weights come from.
    node_startup_seconds: from buying an imitated machine to its joining the cluster.
    """

    kubeconfig: str
    prometheus_url: str
    hub_url: str
    node_startup_seconds: int


class LocalCluster(pulumi.ComponentResource):
    """The cluster that `make up` started, as the contract in infra/cluster.py."""

    cluster: Cluster

    def __init__(self, name: str, args: LocalClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:infra:LocalCluster", name, {}, opts)
        provider = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=args.kubeconfig,
            # Without it a change of the kubeconfig, such as another port, would replace every resource.
            cluster_identifier=name,
            # ConfigMaps are changed in place and reach running pods; otherwise each edit would replace them.
            enable_config_map_mutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        node_class = CustomResource(
            f"{name}-node-class",
            api_version=f"{NODE_CLASS.group}/v1alpha1",
            kind=NODE_CLASS.kind,
            metadata=ObjectMetaArgs(name=NODE_CLASS.name),
            spec={"nodeRegistrationDelay": f"{args.node_startup_seconds}s"},
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        )

        def make_pool(pool: NodePool) -> tuple[pulumi.Resource, ...]:
            return (
                KarpenterNodePool(
                    pool.name,
                    KarpenterNodePoolArgs(provider, pool, NODE_CLASS),
                    pulumi.ResourceOptions(depends_on=[node_class]),
                ),
            )

        self.cluster = Cluster(
            provider=provider,
            kubernetes=LOCAL_RELEASE,
            make_pool=make_pool,
            # On loopback: nobody outside this machine reaches it.
            entrance=Entrance("LoadBalancer", annotations={}, hostname=None, tls="none"),
            system_node_selector={NODE_POOL_LABEL: "system"},
            prometheus=Prometheus(url=args.prometheus_url, interval_seconds=METRICS_INTERVAL_SECONDS),
            weights_storage=WeightsStorage(
                storage_class=STORAGE_CLASS,
                access_mode="ReadWriteMany",
                hub_endpoint=args.hub_url,
                service_account_annotations={},
            ),
            network=cluster_network(args.prometheus_url, args.hub_url),
            requirements=(),
        )
        self.register_outputs({})
