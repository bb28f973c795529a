"""Nodes of a pool that are kept ready for the next replica: bought, booted, registered, and empty.

A burst replica then starts without the wait for a machine. Two mechanisms, chosen by the pool:

placeholder_pods: a small Deployment whose pods ask for every GPU of a machine and give way to any other
pod. Works with every node autoscaler: the evicted placeholder is pending, so the next node is bought (after
about 2 s).
capacity_buffer: an object that says as much to the autoscaler, without pods (autoscaling.x-k8s.io/v1beta1).
Needs Karpenter 1.13 or newer with the feature gate CapacityBuffer, or Cluster Autoscaler 1.34 or newer with
--capacity-buffer-controller-enabled; refills after 10 to 18 s, measured with Karpenter 1.14.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.cluster import Cluster
from infra.pod_security import container_security_context, pod_security_context
from infra.priority import PLACEHOLDER_PRIORITY_CLASS
from infra.scheduling import GPU_RESOURCE, NodePool

core = k8s.core.v1

WARM_NODES_NAMESPACE = "warm-nodes"

WarmCapacity = Literal["placeholder_pods", "capacity_buffer"]

UID = 65535
"""User of the pause image."""


@dataclass
class WarmNodesArgs:
    """cluster, pool: where the nodes are kept ready. count: how many.

    gpus: GPUs of one machine; a placeholder takes all of them, so that each stands for a whole machine.
    mechanism: what keeps them. image: reference of the pause image.
    """

    cluster: Cluster
    pool: NodePool
    count: int
    gpus: int
    mechanism: WarmCapacity
    image: str


class WarmNodes(pulumi.ComponentResource):
    """The warm nodes of one pool."""

    def __init__(self, name: str, args: WarmNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:infra:WarmNodes", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.cluster.provider)
        core.ServiceAccount(
            f"{name}-service-account",
            metadata=_metadata(args.pool),
            automount_service_account_token=False,
            opts=child,
        )
        if args.mechanism == "placeholder_pods":
            k8s.apps.v1.Deployment(
                f"{name}-placeholders",
                # Not awaited: at the pool's limit, or while a node boots, placeholders are pending by
                # intention.
                metadata=_metadata(args.pool, {"pulumi.com/skipAwait": "true"}),
                spec=placeholder_deployment_spec(args),
                opts=child,
            )
        else:
            template = core.PodTemplate(
                f"{name}-template",
                metadata=_metadata(args.pool),
                template=placeholder_template(args.pool, args.gpus, args.image),
                opts=child,
            )
            CustomResource(
                f"{name}-buffer",
                api_version="autoscaling.x-k8s.io/v1beta1",
                kind="CapacityBuffer",
                metadata=_metadata(args.pool),
                spec=capacity_buffer_spec(args),
                opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[template])),
            )
        self.register_outputs({})


def placeholder_deployment_spec(args: WarmNodesArgs) -> k8s.apps.v1.DeploymentSpecArgs:
    """Spec of the Deployment of placeholder pods, one for each warm node."""
    return k8s.apps.v1.DeploymentSpecArgs(
        replicas=args.count,
        selector=LabelSelectorArgs(match_labels=_labels(args.pool)),
        # Never a second placeholder beside the first: it would buy a node for the time of the update.
        strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
        template=placeholder_template(args.pool, args.gpus, args.image),
    )


def capacity_buffer_spec(args: WarmNodesArgs) -> Mapping[str, object]:
    """Spec of the autoscaling.x-k8s.io/v1beta1 CapacityBuffer."""
    return {"podTemplateRef": {"name": args.pool.name}, "replicas": args.count}


def placeholder_template(pool: NodePool, gpus: int, image: str) -> k8s.core.v1.PodTemplateSpecArgs:
    """A pod that does nothing, fills one machine of `pool` and leaves at once when it is asked to."""
    small = {"cpu": "10m", "memory": "16Mi"}
    return core.PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(labels=_labels(pool)),
        spec=core.PodSpecArgs(
            service_account_name=pool.name,
            automount_service_account_token=False,
            enable_service_links=False,
            priority_class_name=PLACEHOLDER_PRIORITY_CLASS,
            security_context=pod_security_context(UID),
            # Whoever needs the node waits for its end.
            termination_grace_period_seconds=0,
            node_selector=pool.node_selector,
            tolerations=[
                core.TolerationArgs(
                    key=pool.taint.key, operator="Equal", value=pool.taint.value, effect=pool.taint.effect
                )
            ],
            containers=[
                core.ContainerArgs(
                    name="pause",
                    image=image,
                    # All GPUs: then nothing else that needs one fits beside it, whatever is free besides.
                    resources=core.ResourceRequirementsArgs(
                        requests={**small, GPU_RESOURCE: str(gpus)},
                        limits={**small, GPU_RESOURCE: str(gpus)},
                    ),
                    security_context=container_security_context(),
                )
            ],
        ),
    )


def _labels(pool: NodePool) -> Mapping[str, str]:
    return {
        "app.kubernetes.io/name": pool.name,
        "app.kubernetes.io/component": "placeholder",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def _metadata(pool: NodePool, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=pool.name, namespace=WARM_NODES_NAMESPACE, labels=_labels(pool), annotations=annotations
    )
