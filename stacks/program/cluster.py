"""The cluster, its namespaces, node pools and warm nodes: what stands before the first model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster
from infra.local import LocalCluster, LocalClusterArgs, hub_url, prometheus_url
from infra.network_policies import Flow, NetworkPolicies, NetworkPoliciesArgs
from infra.pod_security import namespace_labels
from infra.priority import PriorityClasses
from infra.warm_nodes import WARM_NODES_NAMESPACE, WarmNodes, WarmNodesArgs
from serving.engines import engine_of
from serving.gateway.flows import flows
from serving.gateway.listeners import HTTP_PORT, HTTPS_PORT
from serving.images.pinned import image
from serving.names import GATEWAY_NAMESPACE, INFERENCE_NAMESPACE
from stacks import config
from stacks.plan import Plan, PoolPlan
from stacks.plan.sizing import ROOT


@dataclass(frozen=True)
class Foundation:
    """What models and gateway are put on.

    tls_secret: name of the Secret with the gateway's certificate, where its pods end TLS. namespaces: by
    name, each with its network policies. pools: what a pod on each node pool waits for, by the pool's name.
    """

    cluster: Cluster
    tls_secret: str | None
    namespaces: Mapping[str, pulumi.Resource]
    pools: Mapping[str, tuple[pulumi.Resource, ...]]
    priorities: PriorityClasses


def foundation(cluster: Cluster, plan: Plan, gateway: config.Gateway) -> Foundation:
    """Registers it, for the models and node pools of `plan`."""
    tls_secret = _tls_secret(gateway, cluster)
    allowed = flows(
        cluster.network,
        "internal" if gateway.public is None else "public",
        [engine_of(model.replica.engine) for model in plan.models],
        HTTP_PORT if tls_secret is None else HTTPS_PORT,
        fetching=[model.name for model in plan.models if model.replica.allowed_media_domains],
    )
    namespaces = {
        name: _namespace(name, cluster, allowed) for name in (INFERENCE_NAMESPACE, GATEWAY_NAMESPACE)
    }
    # Whatever a destroy must remove last is registered first: machines outlive the pods that run on them.
    pools = {pool.name: cluster.make_pool(pool.node_pool) for pool in plan.pools}
    priorities = PriorityClasses("priorities", cluster)
    _warm_nodes(plan.pools, cluster, pools, priorities)
    return Foundation(cluster, tls_secret, namespaces, pools, priorities)


def register_local(cluster: config.LocalCluster) -> Cluster:
    """The cluster that `make up` started. Raises pulumi.RunError where its kubeconfig says too little."""
    kubeconfig = ROOT / cluster.kubeconfig
    if not kubeconfig.is_file():
        raise pulumi.RunError(
            f"cluster.kubeconfig: {cluster.kubeconfig} does not exist in {ROOT}: start the cluster with "
            "`make up`, or name the file of a running one"
        )
    prometheus, hub = prometheus_url(kubeconfig), hub_url(kubeconfig)
    if prometheus is None or hub is None:
        raise pulumi.RunError(
            f"cluster.kubeconfig: {cluster.kubeconfig} does not say where Prometheus and the hub are, so "
            "nothing could scale or be loaded: it is not a file that `make up` wrote. Run `make up`, or name "
            "the file of its cluster"
        )
    return LocalCluster(
        cluster.name,
        LocalClusterArgs(
            kubeconfig=str(kubeconfig),
            prometheus_url=prometheus,
            hub_url=hub,
            node_startup_seconds=cluster.node_startup_seconds,
        ),
    ).cluster


def _tls_secret(gateway: config.Gateway, cluster: Cluster) -> str | None:
    """The Secret with the certificate, where the gateway's pods end TLS and no load balancer does it."""
    if gateway.public is None or cluster.entrance.tls != "gateway":
        return None
    return gateway.public.certificate


def _namespace(name: str, cluster: Cluster, allowed: Sequence[Flow]) -> NetworkPolicies:
    """A namespace with its network policies, which are there before any pod and until after the last."""
    namespace = k8s.core.v1.Namespace(
        name,
        metadata=ObjectMetaArgs(name=name, labels=namespace_labels()),
        opts=pulumi.ResourceOptions(provider=cluster.provider, depends_on=list(cluster.requirements)),
    )
    return NetworkPolicies(
        f"{name}-walls",
        NetworkPoliciesArgs(cluster=cluster, namespace=name, flows=allowed),
        pulumi.ResourceOptions(depends_on=[namespace]),
    )


def _warm_nodes(
    pools: Sequence[PoolPlan],
    cluster: Cluster,
    registered: Mapping[str, tuple[pulumi.Resource, ...]],
    priorities: PriorityClasses,
) -> None:
    # A buffer is registered with no node too: one that is deleted while it holds a node keeps it
    # (Karpenter 1.14 looks again only at the next pending pod), one that shrinks to 0 gives it back.
    warm = [pool for pool in pools if pool.warm_nodes > 0 or pool.warm_capacity == "capacity_buffer"]
    if not warm:
        return
    # Placeholders do nothing: no flow leads here.
    namespace = _namespace(WARM_NODES_NAMESPACE, cluster, ())
    for pool in warm:
        WarmNodes(
            f"{pool.name}-warm",
            WarmNodesArgs(
                cluster=cluster,
                pool=pool.node_pool,
                count=pool.warm_nodes,
                gpus=pool.gpus_per_machine,
                mechanism=pool.warm_capacity,
                image=image("pause").reference,
            ),
            pulumi.ResourceOptions(depends_on=[namespace, *registered[pool.name], priorities]),
        )
