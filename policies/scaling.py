"""How many replicas a workload has: its own number, or the bounds of what scales it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.pods import Pod

SCALERS = {
    # kind: bounds, reference to the target
    "ScaledObject": ("minReplicaCount", "maxReplicaCount", "scaleTargetRef"),
    "HorizontalPodAutoscaler": ("minReplicas", "maxReplicas", "scaleTargetRef"),
}

UNBOUNDED = {"ScaledObject": (0, 100), "HorizontalPodAutoscaler": (1, 1)}
"""What holds where a bound is left out: KEDA's defaults and those of Kubernetes."""


@dataclass(frozen=True)
class Replicas:
    """minimum and maximum of one workload; both are the same if nothing scales it."""

    minimum: int
    maximum: int


def scalers(resources: Iterable[Resource]) -> list[KubernetesObject]:
    """What changes the number of replicas of something else."""
    return list(kubernetes_objects(resources, SCALERS))


def replicas(pod: Pod, scaled_by: Iterable[KubernetesObject]) -> Replicas:
    """Replicas of the workload that owns `pod`."""
    for scaler in scaled_by:
        minimum, maximum, reference = SCALERS[scaler.kind]
        target = scaler.spec.section(reference)
        kind = target.text("kind") or "Deployment"
        if (kind, target.text("name")) != (pod.owner.kind, pod.owner.name) or not same_namespace(
            scaler, pod.owner
        ):
            continue
        low, high = scaler.spec.number(minimum), scaler.spec.number(maximum)
        default_low, default_high = UNBOUNDED[scaler.kind]
        return Replicas(default_low if low is None else int(low), default_high if high is None else int(high))
    count = pod.owner.spec.number("replicas")
    return Replicas(1, 1) if count is None else Replicas(int(count), int(count))


def same_namespace(one: KubernetesObject, other: KubernetesObject) -> bool:
    """Whether both are in one namespace, as far as is known: a namespace of a preview may not be yet."""
    return None in (one.namespace, other.namespace) or one.namespace == other.namespace
