"""Node pools for Karpenter: the same on EKS and on the local cluster, which differ in the node class only."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster, NodeClass
from infra.scheduling import GPU_RESOURCE, NodePool


def node_pool_spec(pool: NodePool, node_class: NodeClass) -> Mapping[str, object]:
    """Spec of the karpenter.sh/v1 NodePool for `pool`."""
    return {
        "template": {
            "metadata": {"labels": dict(pool.labels)},
            "spec": {
                "nodeClassRef": {"group": node_class.group, "kind": node_class.kind, "name": node_class.name},
                "requirements": [
                    _in("node.kubernetes.io/instance-type", *(machine.name for machine in pool.machines)),
                    _in("karpenter.sh/capacity-type", *pool.capacity),
                ],
                "taints": [{"key": pool.taint.key, "value": pool.taint.value, "effect": pool.taint.effect}],
                # Expiry ignores budgets and waits for no replacement: it would cut off running generations.
                "expireAfter": "Never",
            },
        },
        "limits": {
            "nodes": pool.max_nodes,
            GPU_RESOURCE: pool.max_nodes * max(machine.accelerator_count for machine in pool.machines),
        },
        "disruption": {
            # Moving a replica to a cheaper machine costs a cold start: only empty machines are removed.
            "consolidationPolicy": "WhenEmpty",
            "consolidateAfter": f"{pool.scale_down_after_seconds}s",
        },
    }


def _in(key: str, *values: str) -> Mapping[str, object]:
    return {"key": key, "operator": "In", "values": list(values)}


@dataclass
class KarpenterNodePoolArgs:
    """cluster: where the pool is registered. pool: what it is."""

    cluster: Cluster
    pool: NodePool


class KarpenterNodePool(pulumi.ComponentResource):
    """A node pool that Karpenter fills with machines as pods need them, and empties again."""

    def __init__(
        self, name: str, args: KarpenterNodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-platform:infra:KarpenterNodePool", name, {}, opts)
        CustomResource(
            f"{name}-node-pool",
            api_version="karpenter.sh/v1",
            kind="NodePool",
            metadata=ObjectMetaArgs(
                name=args.pool.name,
                # The pool is gone only once its machines are: a destroy must not leave any behind.
                annotations={"pulumi.com/deletionPropagationPolicy": "foreground"},
            ),
            spec=node_pool_spec(args.pool, args.cluster.node_class),
            opts=pulumi.ResourceOptions(parent=self, provider=args.cluster.provider),
        )
        self.register_outputs({})
