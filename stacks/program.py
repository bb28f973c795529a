"""Wires an environment together: which object is built from which section, and what waits for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.accelerators import accelerator
from infra.cluster import Cluster
from infra.karpenter import KarpenterNodePool, KarpenterNodePoolArgs
from infra.local import LocalCluster, LocalClusterArgs
from infra.machines import machine
from infra.pod_security import namespace_labels
from infra.priority import PriorityClasses
from infra.scheduling import NodePool
from infra.warm_nodes import WARM_NODES_NAMESPACE, WarmNodes, WarmNodesArgs
from serving import models as model_table
from serving.engines import vllm
from serving.gateway import Gateway, GatewayArgs, config_maps
from serving.images import IMAGES, image
from serving.names import GATEWAY_NAMESPACE, INFERENCE_NAMESPACE
from serving.replica import Replica
from serving.verify.job import Verification, VerificationArgs
from serving.workload import ModelServer, ModelServerArgs
from stacks import config
from stacks.capacity import machines_needed
from stacks.plan import Plan, machine_for, make_plan

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024


@dataclass(frozen=True)
class Platform:
    """What stands at the end: the plan that it follows, its models, and the way in."""

    plan: Plan
    models: tuple[str, ...]
    gateway: Gateway


def build(stack: config.Stack) -> Platform:
    """Registers everything that `stack` describes."""
    plan = make_plan(stack)
    for line in plan.lines():
        pulumi.log.info(line)
    cluster = _cluster(stack.cluster)
    namespaces = {name: _namespace(name, cluster) for name in (INFERENCE_NAMESPACE, GATEWAY_NAMESPACE)}
    pools = {pool.name: node_pool(pool) for pool in stack.node_pools}
    # Whatever a destroy must remove last is registered first: machines outlive the pods that run on them.
    pool_resources = {
        name: KarpenterNodePool(
            name,
            KarpenterNodePoolArgs(cluster=cluster, pool=pool),
            pulumi.ResourceOptions(depends_on=list(cluster.requirements)),
        )
        for name, pool in pools.items()
    }
    priorities = PriorityClasses("priorities", cluster)
    _warm_nodes(stack, cluster, pools, pool_resources, priorities)
    replicas = {model.name: replica(model, pools[model.node_pool]) for model in stack.models}
    servers = [
        ModelServer(
            model.name,
            ModelServerArgs(
                cluster=cluster,
                node_pool=pools[model.node_pool],
                replica=replicas[model.name],
                # No autoscaler is registered yet, so every model runs at its minimum.
                replica_count=model.replicas.min,
                surge=_surge(model, stack),
            ),
            pulumi.ResourceOptions(
                depends_on=[
                    namespaces[INFERENCE_NAMESPACE],
                    pool_resources[model.node_pool],
                    priorities,
                ]
            ),
        )
        for model in stack.models
    ]
    names = tuple(model.name for model in stack.models)
    gateway_args = GatewayArgs(
        cluster=cluster,
        models=names,
        replicas=stack.gateway.replicas,
        max_request_bytes=stack.gateway.max_request_mib * MIB,
        drain_seconds=max(model.drain_seconds for model in stack.models),
    )
    gateway = Gateway(
        "gateway", gateway_args, pulumi.ResourceOptions(depends_on=[namespaces[GATEWAY_NAMESPACE]])
    )
    Verification(
        "verify",
        VerificationArgs(
            cluster=cluster, models=names, configuration=_configuration(stack, replicas, gateway_args)
        ),
        pulumi.ResourceOptions(depends_on=[*servers, gateway]),
    )
    return Platform(plan=plan, models=names, gateway=gateway)


def export(platform: Platform) -> None:
    """Stack outputs: where the gateway is, which models it serves, what they cost."""
    pulumi.export("gateway_url", platform.gateway.url)
    pulumi.export("models", list(platform.models))
    pulumi.export("plan", platform.plan.exported())


def _cluster(cluster: config.LocalCluster) -> Cluster:
    kubeconfig = ROOT / cluster.kubeconfig
    if not kubeconfig.is_file():
        raise pulumi.RunError(
            f"cluster.kubeconfig: {cluster.kubeconfig} does not exist in {ROOT}: start the cluster with "
            "`make up`, or name the file of a running one"
        )
    return LocalCluster(
        cluster.name,
        LocalClusterArgs(kubeconfig=str(kubeconfig), node_startup_seconds=cluster.node_startup_seconds),
    ).cluster


def _namespace(name: str, cluster: Cluster) -> k8s.core.v1.Namespace:
    return k8s.core.v1.Namespace(
        name,
        metadata=ObjectMetaArgs(name=name, labels=namespace_labels()),
        opts=pulumi.ResourceOptions(provider=cluster.provider),
    )


def _warm_nodes(
    stack: config.Stack,
    cluster: Cluster,
    pools: Mapping[str, NodePool],
    pool_resources: Mapping[str, KarpenterNodePool],
    priorities: PriorityClasses,
) -> None:
    # A buffer is registered with no node too: one that is deleted while it holds a node keeps it
    # (Karpenter 1.14 looks again only at the next pending pod), one that shrinks to 0 gives it back.
    warm = [
        pool for pool in stack.node_pools if pool.warm_nodes > 0 or pool.warm_capacity == "capacity_buffer"
    ]
    if not warm:
        return
    namespace = _namespace(WARM_NODES_NAMESPACE, cluster)
    for pool in warm:
        WarmNodes(
            f"{pool.name}-warm",
            WarmNodesArgs(
                cluster=cluster,
                pool=pools[pool.name],
                count=pool.warm_nodes,
                gpus=machine_for(pool, stack.models).accelerator_count,
                mechanism=pool.warm_capacity,
                image=image("pause").reference,
            ),
            pulumi.ResourceOptions(depends_on=[namespace, pool_resources[pool.name], priorities]),
        )


def node_pool(pool: config.NodePool) -> NodePool:
    """The pool that this section of a stack describes."""
    return NodePool(
        name=pool.name,
        accelerator=accelerator(pool.accelerator),
        machines=tuple(machine(name) for name in pool.machine_types),
        capacity=pool.capacity,
        max_nodes=pool.max_nodes,
        scale_down_after_seconds=pool.scale_down_after_seconds,
    )


def replica(model: config.Model, pool: NodePool) -> Replica:
    """One replica of `model` on a machine of `pool`."""
    return Replica(
        name=model.name,
        model=model_table.model(model.model),
        revision=model.revision,
        tensor_parallel=model.tensor_parallel,
        quantization=model.quantization,
        max_model_len=model.max_model_len,
        max_num_seqs=model.max_num_seqs,
        max_queued_requests=model.max_queued_requests,
        gpu_memory_utilization=model.gpu_memory_utilization,
        drain_seconds=model.drain_seconds,
        ttft_seconds=model.slo.ttft.seconds,
        itl_seconds=model.slo.itl.seconds,
        share=pool.share(model.tensor_parallel),
    )


def _surge(model: config.Model, stack: config.Stack) -> int:
    """1 if the pool has room for one more replica of `model` with every model at its maximum, otherwise 0.

    A surge replica that finds no machine would hold up an update for ever.
    """
    pool = next(pool for pool in stack.node_pools if pool.name == model.node_pool)
    served = [other for other in stack.models if other.node_pool == pool.name]
    gpus = [other.tensor_parallel for other in served for _ in range(other.replicas.max)]
    per_machine = machine_for(pool, stack.models).accelerator_count
    return 1 if machines_needed([*gpus, model.tensor_parallel], per_machine) <= pool.max_nodes else 0


def _configuration(stack: config.Stack, replicas: dict[str, Replica], gateway_args: GatewayArgs) -> list[str]:
    """Everything whose change must be proved again."""
    return [
        # Where the cluster is reached is no part of it; another cluster replaces the Job anyway.
        stack.model_dump_json(exclude={"cluster"}),
        *(argument for replica in replicas.values() for argument in vllm.arguments(replica)),
        *(pinned.reference for pinned in IMAGES.values()),
        *(text for files in config_maps(gateway_args).values() for text in files.values()),
    ]
