"""Boards on a cluster: ConfigMaps that Grafana's sidecar picks up, wherever Grafana runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from dashboards.boards.scaling import BoardModel, scaling_board
from infra.cluster import Cluster
from serving.names import INFERENCE_NAMESPACE, labels

SIDECAR_LABEL = ("grafana_dashboard", "1")
"""What the sidecar of the Grafana and kube-prometheus-stack charts looks for (their default label; its
searchNamespace must be ALL)."""


@dataclass
class BoardsArgs:
    """cluster: where the ConfigMaps go. models: what the boards show."""

    cluster: Cluster
    models: Sequence[BoardModel]


class Boards(pulumi.ComponentResource):
    """The boards of an environment."""

    def __init__(self, name: str, args: BoardsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:dashboards:Boards", name, {}, opts)
        key, value = SIDECAR_LABEL
        k8s.core.v1.ConfigMap(
            f"{name}-scaling",
            metadata=ObjectMetaArgs(
                name="board-scaling",
                namespace=INFERENCE_NAMESPACE,
                labels={**labels("board-scaling", component="dashboard"), key: value},
            ),
            data={"llm-platform-scaling.json": scaling_board(args.models)},
            opts=pulumi.ResourceOptions(parent=self, provider=args.cluster.provider),
        )
        self.register_outputs({})
