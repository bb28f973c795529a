"""A model on a cluster: the Kubernetes objects that keep its replicas running and reachable."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.cluster import Cluster
from infra.pod_security import pod_security_context
from infra.priority import ENGINE_PRIORITY_CLASS
from infra.scheduling import NodePool
from serving.container import compiled_claim, compiled_claim_spec, container, volumes
from serving.engines import engine_of
from serving.engines.engine import Compiled
from serving.names import (
    ENGINE_LABEL,
    HTTP_PORT_NAME,
    INFERENCE_NAMESPACE,
    labels,
    selector,
)
from serving.replica import Replica
from sizing.labels import MODEL_ANNOTATION

NODE_SECONDS = 600
"""What comes before the engine starts: buying a machine, booting it (1 to 3 minutes), and pulling an image
of over 10 GB (2 to 6 minutes)."""


@dataclass
class ModelServerArgs:
    """cluster, node_pool: where it runs. replica: what each replica is.

    surge: replicas beyond the wanted ones while updating; 0 takes one away first, for a pool without room.
    """

    cluster: Cluster
    node_pool: NodePool
    replica: Replica
    surge: int


class ModelServer(pulumi.ComponentResource):
    """The replicas of one model, behind a Service of the model's name."""

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:serving:ModelServer", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, provider=args.cluster.provider)
        engine = engine_of(args.replica.engine)
        k8s.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=_metadata(args.replica),
            automount_service_account_token=False,
            opts=child,
        )
        # Headless: the gateway chooses among the replicas itself and needs their addresses.
        k8s.core.v1.Service(
            f"{name}-service",
            metadata=_metadata(args.replica),
            spec=k8s.core.v1.ServiceSpecArgs(
                cluster_ip="None",
                selector=selector(args.replica.name),
                ports=[
                    k8s.core.v1.ServicePortArgs(
                        name=HTTP_PORT_NAME, port=engine.upstream.port, target_port=HTTP_PORT_NAME
                    )
                ],
            ),
            opts=child,
        )
        k8s.policy.v1.PodDisruptionBudget(
            f"{name}-disruption-budget",
            metadata=_metadata(args.replica),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=LabelSelectorArgs(match_labels=selector(args.replica.name)),
                # A replica that is not ready protects nobody, and must not keep its node from being drained.
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=child,
        )
        claims = [] if engine.compiled is None else [self._compiled(name, args, engine.compiled, child)]
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=_metadata(
                args.replica, {"pulumi.com/timeoutSeconds": str(rollout_seconds(args.replica))}
            ),
            spec=deployment_spec(args),
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=claims)),
        )
        self.register_outputs({})

    def _compiled(
        self, name: str, args: ModelServerArgs, compiled: Compiled, opts: pulumi.ResourceOptions
    ) -> pulumi.Resource:
        return k8s.core.v1.PersistentVolumeClaim(
            f"{name}-compiled",
            metadata=ObjectMetaArgs(
                name=compiled_claim(args.replica),
                namespace=INFERENCE_NAMESPACE,
                labels=_labels(args.replica),
                # Some storage classes bind a claim only once a pod uses it.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=compiled_claim_spec(compiled, args.cluster.weights_storage),
            opts=opts,
        )


def rollout_seconds(replica: Replica) -> int:
    """How long a rollout may take: a new machine and a cold start."""
    return NODE_SECONDS + engine_of(replica.engine).startup_seconds(replica)


def deployment_spec(args: ModelServerArgs) -> k8s.apps.v1.DeploymentSpecArgs:
    """Spec of the Deployment that runs the replicas."""
    replica = args.replica
    return k8s.apps.v1.DeploymentSpecArgs(
        # No `replicas`: the autoscaler owns the number, and each update would set it back. The first update
        # starts one replica, Kubernetes' default.
        selector=LabelSelectorArgs(match_labels=selector(replica.name)),
        # Kubernetes' own default of 600 s would call a cold start failed.
        progress_deadline_seconds=rollout_seconds(replica),
        strategy=k8s.apps.v1.DeploymentStrategyArgs(
            type="RollingUpdate",
            rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                max_surge=args.surge, max_unavailable=0 if args.surge > 0 else 1
            ),
        ),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(
                labels=_labels(replica), annotations={MODEL_ANNOTATION: replica.model.name}
            ),
            spec=_pod_spec(replica, args.node_pool),
        ),
    )


def _pod_spec(replica: Replica, pool: NodePool) -> k8s.core.v1.PodSpecArgs:
    engine = engine_of(replica.engine)
    return k8s.core.v1.PodSpecArgs(
        service_account_name=replica.name,
        automount_service_account_token=False,
        # Service variables of every model would fill the environment, and VLLM_PORT would break vLLM.
        enable_service_links=False,
        # A replica takes the place of a placeholder on a warm node.
        priority_class_name=ENGINE_PRIORITY_CLASS,
        security_context=pod_security_context(engine.user),
        termination_grace_period_seconds=engine.grace_seconds(replica),
        node_selector=pool.node_selector,
        tolerations=[
            k8s.core.v1.TolerationArgs(
                key=pool.taint.key, operator="Equal", value=pool.taint.value, effect=pool.taint.effect
            )
        ],
        topology_spread_constraints=[
            k8s.core.v1.TopologySpreadConstraintArgs(
                topology_key="topology.kubernetes.io/zone",
                max_skew=1,
                # GPUs are scarce: a replica in the wrong zone is better than none.
                when_unsatisfiable="ScheduleAnyway",
                label_selector=LabelSelectorArgs(match_labels=selector(replica.name)),
            )
        ],
        containers=[container(replica)],
        volumes=volumes(replica),
    )


def _labels(replica: Replica) -> dict[str, str]:
    return {**labels(replica.name, component="engine"), ENGINE_LABEL: replica.engine}


def _metadata(replica: Replica, annotations: dict[str, str] | None = None) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=replica.name, namespace=INFERENCE_NAMESPACE, labels=_labels(replica), annotations=annotations
    )
