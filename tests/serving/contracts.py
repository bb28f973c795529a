"""Arguments for the pure functions of serving: a cluster, a node pool, a replica."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from infra.cluster import (
    CLUSTER_DNS,
    Addresses,
    Cluster,
    ClusterNetwork,
    Endpoint,
    Entrance,
    Pods,
    Prometheus,
    WeightsStorage,
    outside,
)
from infra.kubernetes_version import KubernetesVersion
from infra.scheduling import NodePool
from serving.replica import Replica
from serving.weights.sources import Hub, Weights
from sizing.hardware.accelerators import accelerator
from sizing.hardware.machines import machine
from sizing.models.models import model


def cluster_network() -> ClusterNetwork:
    """As on a cloud whose network is 10.0.0.0/8."""
    return ClusterNetwork(
        clients=(Addresses(("10.0.0.0/8",)), Pods(None, {})),
        dns=(CLUSTER_DNS,),
        prometheus=Endpoint(Pods("monitoring", {"app.kubernetes.io/name": "prometheus"}), 9090),
        stores=(Endpoint(outside(("10.0.0.0/8",)), 443),),
        # EKS Pod Identity's agent.
        identities=(Endpoint(Addresses(("169.254.170.23/32",)), 80),),
    )


def cluster_contract() -> Cluster:
    # The provider is never touched by a pure function.
    provider: Any = None
    return Cluster(
        provider=provider,
        kubernetes=KubernetesVersion(1, 36),
        make_pool=lambda pool: (),
        entrance=Entrance("ClusterIP", annotations={}, hostname=None, tls="none"),
        system_node_selector={"system": "yes"},
        prometheus=Prometheus(url="http://prometheus.example:9090", interval_seconds=15),
        weights_storage=WeightsStorage(
            storage_class="shared-files",
            access_mode="ReadWriteMany",
            hub_endpoint="https://hub.example",
            service_account_annotations={},
        ),
        network=cluster_network(),
        requirements=(),
    )


def node_pool(*machine_types: str) -> NodePool:
    machines = tuple(machine(name) for name in machine_types or ("g6.2xlarge",))
    assert machines[0].accelerator is not None
    return NodePool(
        name="pool",
        accelerator=accelerator(machines[0].accelerator),
        machines=machines,
        capacity=("on-demand",),
        min_nodes=0,
        max_nodes=4,
        disk_gib=None,
        scale_down_after_seconds=60,
    )


def small_replica(**changes: Any) -> Replica:
    """Qwen3-8B on one L4, with some fields changed."""
    base = Replica(
        name="chat",
        engine="vllm",
        served_names=("chat",),
        task="generate",
        model=model("Qwen/Qwen3-8B"),
        weights=Weights("chat", Hub("Qwen/Qwen3-8B", "b968826d9c46dd6066d109eabc6255188de91218")),
        adapters=(),
        tensor_parallel=1,
        quantization=None,
        max_model_len=16384,
        max_output_tokens=None,
        max_num_seqs=16,
        max_queued_requests=64,
        gpu_memory_utilization=0.92,
        drain_seconds=60,
        ttft_seconds=1.0,
        itl_seconds=0.05,
        share=node_pool("g6.2xlarge").share(1),
    )
    return replace(base, **changes)


def large_replica(**changes: Any) -> Replica:
    """Llama-3.3-70B fp8 on two RTX PRO 6000, with some fields changed."""
    base = small_replica(
        name="chat-large",
        served_names=("chat-large",),
        model=model("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"),
        weights=Weights(
            "chat-large",
            Hub("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "f50dbad2c84590ca17dc51e207c34321b65ff14b"),
        ),
        tensor_parallel=2,
        share=node_pool("g7e.12xlarge").share(2),
    )
    return replace(base, **changes)
