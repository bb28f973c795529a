"""Wires an environment together: which object is built from which section, and what waits for what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from dashboards.collection import MetricsCollection, MetricsCollectionArgs
from dashboards.provision import Boards, BoardsArgs
from dashboards.rules import ScaledModel, engine_series, rule_group
from infra.cluster import Cluster
from infra.local import LocalCluster, LocalClusterArgs, hub_url, prometheus_url
from infra.network_policies import Flow, Walls, WallsArgs
from infra.pod_security import namespace_labels
from infra.priority import PriorityClasses
from infra.scheduling import NodePool
from infra.warm_nodes import WARM_NODES_NAMESPACE, WarmNodes, WarmNodesArgs
from serving.engines import vllm
from serving.gateway.authentication import Authentication
from serving.gateway.flows import flows
from serving.gateway.gateway import Gateway, GatewayArgs
from serving.gateway.listeners import HTTP_PORT, HTTPS_PORT
from serving.gateway.memory import MIB
from serving.images.pinned import IMAGES, image
from serving.names import GATEWAY_NAMESPACE, INFERENCE_NAMESPACE
from serving.replica import Replica
from serving.scaling import Autoscaler, AutoscalerArgs, trigger_signals
from serving.verify.job import (
    Verification,
    VerificationArgs,
    VerifiedModel,
    deadline_seconds,
    verified_tool_parser,
)
from serving.weights.staged import StagedWeights, StagedWeightsArgs, Staging
from serving.weights.volumes import needs_job
from serving.workload import ModelServer, ModelServerArgs, rollout_seconds
from stacks import config
from stacks.plan import Plan, machine_for, make_plan
from stacks.plan.canary import deployed
from stacks.plan.interpret import (
    board_model,
    node_pool,
    rate_limits,
    replica,
    scaled_model,
    scaling_bounds,
    served_models,
    served_names,
    surge,
)
from stacks.plan.judgement import refusals, warnings
from stacks.plan.text import lines
from stacks.problems import StackError
from stacks.program.gateway_tokens import gateway_tokens
from stacks.program.preconditions import check_gateway, check_models, local_cluster

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Platform:
    """What stands at the end: the plan that it follows, its models, and the way in."""

    plan: Plan
    models: tuple[str, ...]
    gateway: Gateway


def build(stack: config.Stack) -> Platform:
    """Registers everything that `stack` describes."""
    local = local_cluster(stack.cluster)
    check_gateway(stack.gateway)
    return build_on(lambda: _cluster(local), stack)


def build_on(make_cluster: Callable[[], Cluster], stack: config.Stack) -> Platform:
    """The same on the cluster that `make_cluster` registers, once nothing can be refused any more."""
    check_models(stack)
    plan = make_plan(stack)
    _say(plan)
    pools = {pool.name: node_pool(pool, stack) for pool in stack.node_pools}
    sections = deployed(stack)
    answers_to = served_names(stack)
    replicas = {
        model.name: replica(model, pools[model.node_pool], answers_to[model.name]) for model in sections
    }
    tokens = gateway_tokens(
        stack,
        deadline_seconds(
            rollout_seconds(replicas[model.name]) for model in sections if model.when_asleep == "wake"
        ),
    )
    cluster = make_cluster()
    tls_secret = _tls_secret(stack.gateway, cluster)
    let_through = flows(
        cluster.surroundings,
        "internal" if stack.gateway.public is None else "public",
        HTTP_PORT if tls_secret is None else HTTPS_PORT,
        fetching=[model.name for model in sections if model.allowed_media_domains],
    )
    namespaces = {
        name: _namespace(name, cluster, let_through) for name in (INFERENCE_NAMESPACE, GATEWAY_NAMESPACE)
    }
    # Whatever a destroy must remove last is registered first: machines outlive the pods that run on them.
    pool_resources = {name: cluster.make_pool(pool) for name, pool in pools.items()}
    priorities = PriorityClasses("priorities", cluster)
    _warm_nodes(stack, cluster, pools, pool_resources, priorities)
    weights = _staged(replicas.values(), cluster, namespaces[INFERENCE_NAMESPACE])
    servers = [
        ModelServer(
            model.name,
            ModelServerArgs(
                cluster=cluster,
                node_pool=pools[model.node_pool],
                replica=replicas[model.name],
                surge=surge(model, stack),
            ),
            pulumi.ResourceOptions(
                depends_on=[
                    namespaces[INFERENCE_NAMESPACE],
                    *pool_resources[model.node_pool],
                    priorities,
                    *weights.get(replicas[model.name].weights.name, ()),
                ]
            ),
        )
        for model in sections
    ]
    scaled = [
        scaled_model(model, pools[model.node_pool], cluster.prometheus.interval_seconds) for model in sections
    ]
    metrics = MetricsCollection(
        "metrics",
        MetricsCollectionArgs(
            cluster=cluster, models=scaled, node_pools=[pool.name for pool in stack.node_pools]
        ),
        pulumi.ResourceOptions(depends_on=list(namespaces.values())),
    )
    boards = Boards(
        "boards",
        BoardsArgs(cluster=cluster, models=[board_model(model) for model in sections]),
        pulumi.ResourceOptions(depends_on=[namespaces[INFERENCE_NAMESPACE]]),
    )
    autoscalers = [
        Autoscaler(
            model.name,
            AutoscalerArgs(cluster=cluster, model=model.name, bounds=scaling_bounds(model)),
            pulumi.ResourceOptions(depends_on=[server, metrics]),
        )
        for model, server in zip(sections, servers, strict=True)
    ]
    names = tuple(model.name for model in stack.models)
    gateway_args = GatewayArgs(
        cluster=cluster,
        models=served_models(stack),
        replicas=stack.gateway.replicas,
        max_request_bytes=stack.gateway.max_request_mib * MIB,
        drain_seconds=max(model.drain_seconds for model in stack.models),
        authentication=Authentication(
            tokens.public_keys, pulumi.get_stack(), tuple(stack.gateway.tokens.revoked)
        ),
        rate_limits=rate_limits(stack.gateway.rate_limit),
        tls_secret=tls_secret,
        allowed_origins=() if stack.gateway.cors is None else stack.gateway.cors.allowed_origins,
    )
    gateway = Gateway(
        "gateway", gateway_args, pulumi.ResourceOptions(depends_on=[namespaces[GATEWAY_NAMESPACE]])
    )
    Verification(
        "verify",
        VerificationArgs(
            cluster=cluster,
            models=[
                VerifiedModel(
                    name=model.name,
                    asked_as=answers_to[model.name][0],
                    task=model.task,
                    tool_parser=verified_tool_parser(replicas[model.name]),
                    minimum=model.replicas.min,
                    triggers=trigger_signals(scaling_bounds(model)),
                    engine_series=engine_series(recorded),
                    when_asleep=model.when_asleep,
                    startup_seconds=rollout_seconds(replicas[model.name]),
                )
                for model, recorded in zip(sections, scaled, strict=True)
            ],
            token=tokens.verification,
            configuration=_configuration(stack, replicas, gateway.files, scaled),
        ),
        pulumi.ResourceOptions(depends_on=[*servers, *autoscalers, gateway, boards]),
    )
    return Platform(plan=plan, models=names, gateway=gateway)


def export(platform: Platform) -> None:
    """Stack outputs: where the gateway is, which models it serves, what they cost."""
    pulumi.export("gateway_url", platform.gateway.url)
    pulumi.export("models", list(platform.models))
    pulumi.export("plan", platform.plan.exported())


def _say(plan: Plan) -> None:
    """Prints the plan into the preview, and ends it where the plan must not become real."""
    for line in lines(plan):
        pulumi.log.info(line)
    for warning in warnings(plan, date.today()):
        pulumi.log.warn(warning)
    problems = refusals(plan)
    if problems:
        raise pulumi.RunError(str(StackError(f"Pulumi.{pulumi.get_stack()}.yaml", problems)))


def _tls_secret(gateway: config.Gateway, cluster: Cluster) -> str | None:
    """The Secret with the certificate, where the gateway's pods end TLS and no load balancer does it."""
    if gateway.public is None or cluster.entrance.tls != "gateway":
        return None
    return gateway.public.certificate


def _cluster(cluster: config.LocalCluster) -> Cluster:
    kubeconfig = ROOT / cluster.kubeconfig
    if not kubeconfig.is_file():
        raise pulumi.RunError(
            f"cluster.kubeconfig: {cluster.kubeconfig} does not exist in {ROOT}: start the cluster with "
            "`make up`, or name the file of a running one"
        )
    prometheus, hub = prometheus_url(kubeconfig), hub_url(kubeconfig)
    if prometheus is None or hub is None:
        raise pulumi.RunError(
            f"cluster.kubeconfig: {cluster.kubeconfig} does not say where Prometheus and the hub are, so "
            "nothing could scale or be loaded: it is not a file that `make up` wrote. Run `make up`, or name "
            "the file of its cluster"
        )
    return LocalCluster(
        cluster.name,
        LocalClusterArgs(
            kubeconfig=str(kubeconfig),
            prometheus_url=prometheus,
            hub_url=hub,
            node_startup_seconds=cluster.node_startup_seconds,
        ),
    ).cluster


def _staged(
    replicas: Iterable[Replica], cluster: Cluster, namespace: Walls
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


def _namespace(name: str, cluster: Cluster, let_through: Sequence[Flow]) -> Walls:
    """A namespace with its walls, which stand before any pod and fall after the last."""
    namespace = k8s.core.v1.Namespace(
        name,
        metadata=ObjectMetaArgs(name=name, labels=namespace_labels()),
        opts=pulumi.ResourceOptions(provider=cluster.provider, depends_on=list(cluster.requirements)),
    )
    return Walls(
        f"{name}-walls",
        WallsArgs(cluster=cluster, namespace=name, flows=let_through),
        pulumi.ResourceOptions(depends_on=[namespace]),
    )


def _warm_nodes(
    stack: config.Stack,
    cluster: Cluster,
    pools: Mapping[str, NodePool],
    pool_resources: Mapping[str, tuple[pulumi.Resource, ...]],
    priorities: PriorityClasses,
) -> None:
    # A buffer is registered with no node too: one that is deleted while it holds a node keeps it
    # (Karpenter 1.14 looks again only at the next pending pod), one that shrinks to 0 gives it back.
    warm = [
        pool for pool in stack.node_pools if pool.warm_nodes > 0 or pool.warm_capacity == "capacity_buffer"
    ]
    if not warm:
        return
    # Placeholders do nothing: no flow leads here.
    namespace = _namespace(WARM_NODES_NAMESPACE, cluster, ())
    for pool in warm:
        WarmNodes(
            f"{pool.name}-warm",
            WarmNodesArgs(
                cluster=cluster,
                pool=pools[pool.name],
                count=pool.warm_nodes,
                gpus=machine_for(pool, stack).accelerator_count,
                mechanism=pool.warm_capacity,
                image=image("pause").reference,
            ),
            pulumi.ResourceOptions(depends_on=[namespace, *pool_resources[pool.name], priorities]),
        )


def _configuration(
    stack: config.Stack,
    replicas: Mapping[str, Replica],
    gateway_files: Mapping[str, Mapping[str, str]],
    scaled: Sequence[ScaledModel],
) -> list[str]:
    """Everything whose change must be proved again."""
    return [
        # Where the cluster is reached and what it costs are no part of it; another cluster replaces the Job
        # anyway.
        stack.model_dump_json(
            exclude={
                **dict.fromkeys(("cluster", "budget", "price_overrides", "tags", "observability"), True),
                "gateway": {"tokens": {"public_keys"}},
            }
        ),
        *(argument for replica in replicas.values() for argument in vllm.arguments(replica)),
        *(json.dumps(rule_group(model)) for model in scaled),
        *(pinned.reference for pinned in IMAGES.values()),
        *(text for files in gateway_files.values() for text in files.values()),
    ]
