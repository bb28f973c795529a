"""The models: weights, Deployments, recording rules, boards and autoscalers, as the plan has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from dashboards.boards.scaling import BoardModel
from dashboards.collection import MetricsCollection, MetricsCollectionArgs
from dashboards.provision import Boards, BoardsArgs
from infra.cluster import Cluster
from serving.autoscaler import Autoscaler, AutoscalerArgs
from serving.names import INFERENCE_NAMESPACE
from serving.replica import Replica
from serving.weights.staged import StagedWeights, StagedWeightsArgs, Staging
from serving.weights.volumes import needs_job
from serving.workload import ModelServer, ModelServerArgs
from stacks.plan import ModelPlan, Plan
from stacks.program.cluster import Foundation


def register_models(plan: Plan, foundation: Foundation) -> tuple[pulumi.Resource, ...]:
    """Registers every Deployment with what measures and scales it: what a verification waits for."""
    cluster, namespace = foundation.cluster, foundation.namespaces[INFERENCE_NAMESPACE]
    weights = _staged([model.replica for model in plan.models], cluster, namespace)
    servers = [
        ModelServer(
            model.name,
            ModelServerArgs(cluster=cluster, node_pool=model.pool, replica=model.replica, surge=model.surge),
            pulumi.ResourceOptions(
                depends_on=[
                    namespace,
                    *foundation.pools[model.node_pool],
                    foundation.priorities,
                    *weights.get(model.replica.weights.name, ()),
                ]
            ),
        )
        for model in plan.models
    ]
    metrics = MetricsCollection(
        "metrics",
        MetricsCollectionArgs(
            cluster=cluster,
            models=[model.recorded for model in plan.models],
            node_pools=[pool.name for pool in plan.pools],
        ),
        pulumi.ResourceOptions(depends_on=list(foundation.namespaces.values())),
    )
    boards = Boards(
        "boards",
        BoardsArgs(cluster=cluster, models=[board_model(model) for model in plan.models]),
        pulumi.ResourceOptions(depends_on=[namespace]),
    )
    autoscalers = [
        Autoscaler(
            model.name,
            AutoscalerArgs(cluster=cluster, model=model.name, bounds=model.scaling),
            pulumi.ResourceOptions(depends_on=[server, metrics]),
        )
        for model, server in zip(plan.models, servers, strict=True)
    ]
    return (*servers, *autoscalers, boards)


def board_model(model: ModelPlan) -> BoardModel:
    """`model` as the boards draw it."""
    return BoardModel(
        name=model.name,
        node_pool=model.node_pool,
        ttft_seconds=model.recorded.ttft_seconds,
        max_replicas=model.replicas_max,
    )


def _staged(
    replicas: Sequence[Replica], cluster: Cluster, namespace: pulumi.Resource
) -> Mapping[str, tuple[StagedWeights, ...]]:
    """What the Deployments wait for, by the name of their weights: two of the same revision share it."""
    staging = Staging("staging", cluster, pulumi.ResourceOptions(depends_on=[namespace]))
    return {
        replica.weights.name: (
            StagedWeights(
                replica.weights.name,
                StagedWeightsArgs(cluster=cluster, replica=replica),
                pulumi.ResourceOptions(depends_on=[namespace, staging]),
            ),
        )
        for replica in {replica.weights.name: replica for replica in replicas}.values()
        if needs_job(replica)
    }
