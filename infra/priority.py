"""Which pods may push out which: the two priority classes of the platform."""

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster

ENGINE_PRIORITY_CLASS = "llm-platform-engine"
PLACEHOLDER_PRIORITY_CLASS = "llm-platform-placeholder"

ENGINE_PRIORITY = 1000
"""Above 0, what pods without a class have, so that whatever else tolerates a GPU node yields to a replica."""

PLACEHOLDER_PRIORITY = -10
"""Below 0, so that any pod takes a placeholder's place. Cluster autoscaler ignores pods below -10."""


class PriorityClasses(pulumi.ComponentResource):
    """The classes that engines and placeholders name; pods that name a missing class are refused."""

    def __init__(self, name: str, cluster: Cluster, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:infra:PriorityClasses", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=cluster.provider)
        k8s.scheduling.v1.PriorityClass(
            f"{name}-engine",
            metadata=ObjectMetaArgs(name=ENGINE_PRIORITY_CLASS),
            value=ENGINE_PRIORITY,
            description="Replicas of models: they take the place of placeholder pods at once.",
            opts=child,
        )
        k8s.scheduling.v1.PriorityClass(
            f"{name}-placeholder",
            metadata=ObjectMetaArgs(name=PLACEHOLDER_PRIORITY_CLASS),
            value=PLACEHOLDER_PRIORITY,
            preemption_policy="Never",
            description="Pods that keep a node ready and leave it to whoever needs it.",
            opts=child,
        )
        self.register_outputs({})
