"""Node pools for Karpenter: the same on EKS and on the local cluster, which differ in the node class only.

A pool whose machines are bought in several ways is several Karpenter NodePools. In one the order would be
lost: the values of a requirement are a set, and each provider of Karpenter has an order of its own (1.14: AWS
takes reserved, then spot, then on-demand; KWOK any of the cheapest).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.scheduling import GPU_RESOURCE, NodePool, node_shares


@dataclass(frozen=True)
class NodeClass:
    """Reference to the provider's own description of a machine image, disk and network.

    Pools whose machines differ in one of these, or in their reservation, each need one of their own.
    """

    group: str
    kind: str
    name: str


def node_pools(pool: NodePool, node_class: NodeClass) -> Mapping[str, Mapping[str, object]]:
    """Specs of the karpenter.sh/v1 NodePools for `pool` by name: one for each share of its nodes, in order.

    All have the pool's own labels and taint, so its pods see no difference. The one that buys on demand has
    the pool's own name, or the first if none does: were it renamed, a pool that gets a fallback would lose
    all its machines. The others add their capacity type after a dot, which no pool has in its name.
    """
    shares = node_shares(pool.max_nodes, pool.capacity)
    named_as_pool = next((kinds for kinds in shares if "on-demand" in kinds), next(iter(shares)))
    specs: dict[str, Mapping[str, object]] = {}
    for place, (kinds, nodes) in enumerate(shares.items()):
        spec = _spec(pool, node_class, kinds, nodes)
        # Karpenter tries NodePools by falling weight, 1 to 100. A single one needs none.
        weighed = spec if len(shares) == 1 else {**spec, "weight": len(shares) - place}
        specs[pool.name if kinds == named_as_pool else f"{pool.name}.{kinds[-1]}"] = weighed
    return specs


def _spec(pool: NodePool, node_class: NodeClass, capacity: Sequence[str], nodes: int) -> Mapping[str, object]:
    return {
        "template": {
            "metadata": {"labels": dict(pool.labels)},
            "spec": {
                "nodeClassRef": {"group": node_class.group, "kind": node_class.kind, "name": node_class.name},
                "requirements": [
                    _in("node.kubernetes.io/instance-type", *(machine.name for machine in pool.machines)),
                    _in("karpenter.sh/capacity-type", *capacity),
                ],
                "taints": [{"key": pool.taint.key, "value": pool.taint.value, "effect": pool.taint.effect}],
                # Expiry ignores budgets and waits for no replacement: it would cut off running generations.
                "expireAfter": "Never",
            },
        },
        "limits": {
            "nodes": nodes,
            GPU_RESOURCE: nodes * max(machine.accelerator_count for machine in pool.machines),
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
    """provider: of the cluster. pool: what it is. node_class: of its machines."""

    provider: k8s.Provider
    pool: NodePool
    node_class: NodeClass


class KarpenterNodePool(pulumi.ComponentResource):
    """A node pool that Karpenter fills with machines as pods need them, and empties again."""

    def __init__(
        self, name: str, args: KarpenterNodePoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-platform:infra:KarpenterNodePool", name, {}, opts)
        for node_pool, spec in node_pools(args.pool, args.node_class).items():
            CustomResource(
                f"{node_pool}-node-pool",
                api_version="karpenter.sh/v1",
                kind="NodePool",
                metadata=ObjectMetaArgs(
                    name=node_pool,
                    # The pool is gone only once its machines are: a destroy must not leave any behind.
                    annotations={"pulumi.com/deletionPropagationPolicy": "foreground"},
                ),
                spec=spec,
                opts=pulumi.ResourceOptions(parent=self, provider=args.provider),
            )
        self.register_outputs({})
