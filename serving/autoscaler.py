"""The autoscaler of a model on a cluster: registers what serving/scaling.py says."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster
from serving.names import INFERENCE_NAMESPACE, labels
from serving.scaling import ScalingBounds, scaled_object_spec


@dataclass
class AutoscalerArgs:
    """cluster: where KEDA runs. model: name of the Deployment. bounds: how far and how fast it scales."""

    cluster: Cluster
    model: str
    bounds: ScalingBounds


class Autoscaler(pulumi.ComponentResource):
    """Scales the Deployment of one model."""

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:serving:Autoscaler", name, {}, opts)
        CustomResource(
            f"{name}-scaled-object",
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata=ObjectMetaArgs(
                name=args.model,
                namespace=INFERENCE_NAMESPACE,
                labels=labels(args.model, component="autoscaler"),
            ),
            spec=scaled_object_spec(
                args.model, args.bounds, args.cluster.prometheus.url, args.cluster.kubernetes
            ),
            opts=pulumi.ResourceOptions(parent=self, provider=args.cluster.provider),
        )
        self.register_outputs({})
