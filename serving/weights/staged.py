"""The weights of a model on a volume, complete and verified before any engine starts."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster
from serving.names import INFERENCE_NAMESPACE, STAGING, labels
from serving.replica import Replica
from serving.weights.job import (
    PROGRAM,
    SERVICE_ACCOUNT,
    claim_spec,
    deadline_seconds,
    job_name,
    job_spec,
    program_name,
)
from serving.weights.volumes import staged_claim


@dataclass
class StagedWeightsArgs:
    """cluster: where the volume is. replica: one of those that load the weights."""

    cluster: Cluster
    replica: Replica


class Staging(pulumi.ComponentResource):
    """What all staging Jobs share: their program, and whom they are to an object store, where engines are
    nobody."""

    def __init__(self, name: str, cluster: Cluster, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:serving:Staging", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=cluster.provider)
        k8s.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=_metadata(SERVICE_ACCOUNT, dict(cluster.weights_storage.service_account_annotations)),
            automount_service_account_token=False,
            opts=child,
        )
        k8s.core.v1.ConfigMap(
            f"{name}-program", metadata=_metadata(program_name()), data=dict(PROGRAM.files), opts=child
        )
        self.register_outputs({})


class StagedWeights(pulumi.ComponentResource):
    """One revision of a model's weights, with its adapters. Pulumi waits until all of it is verified."""

    def __init__(
        self, name: str, args: StagedWeightsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("llm-platform:serving:StagedWeights", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.cluster.provider)
        replica, storage = args.replica, args.cluster.weights_storage
        needed: list[pulumi.Resource] = []
        claim = staged_claim(replica)
        if claim is not None:
            needed.append(
                k8s.core.v1.PersistentVolumeClaim(
                    f"{name}-claim",
                    # Some storage classes bind a claim only once a pod uses it, and that is the Job's.
                    metadata=_metadata(claim, {"pulumi.com/skipAwait": "true"}),
                    spec=claim_spec(replica, storage),
                    opts=child,
                )
            )
        k8s.batch.v1.Job(
            f"{name}-job",
            metadata=_metadata(
                job_name(replica, storage),
                {
                    "pulumi.com/timeoutSeconds": str(deadline_seconds(replica) + 60),
                    # A failed run is replaced by the next update, even if nothing has changed since.
                    "pulumi.com/replaceUnready": "true",
                },
            ),
            spec=job_spec(replica, args.cluster),
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=needed)),
        )
        self.register_outputs({})


def _metadata(name: str, annotations: dict[str, str] | None = None) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=name,
        namespace=INFERENCE_NAMESPACE,
        labels=labels(STAGING, component=STAGING),
        annotations=annotations or None,
    )
