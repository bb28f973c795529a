"""The cluster on this machine: a real control plane and node autoscaler, imitated machines.

`make up` starts it; this module tells Pulumi how to reach it and describes the imitated machines: AWS's
names, sizes and prices, so that the node pool that is tested here is the one that a team ships to EKS.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster, NodeClass
from infra.machines import MACHINES, Machine
from infra.scheduling import GPU_RESOURCE, NODE_POOL_LABEL

ZONE = "local-a"

NODE_CLASS = NodeClass(group="karpenter.kwok.sh", kind="KWOKNodeClass", name="gpu")

KUBELET_CPU_MILLICORES = 100
KUBELET_MEMORY_MIB = 10
"""What Karpenter's KWOK provider subtracts from every machine (kwok/cloudprovider/helpers.go)."""

CAPACITY_TYPES = ("on-demand", "spot")
"""What can be bought here. No table of spot prices exists, so a spot machine costs as much as on demand."""


def karpenter_instance_types() -> str:
    """The machines that Karpenter's KWOK provider can imitate: the JSON of its INSTANCE_TYPES_FILE_PATH."""
    return json.dumps([_instance_type(machine) for machine in MACHINES.values()], indent=1)


def _instance_type(machine: Machine) -> Mapping[str, object]:
    return {
        "name": machine.name,
        "offerings": [
            {
                "Price": machine.price_per_hour_usd,
                "Available": True,
                "Requirements": [
                    {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [capacity]},
                    {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [ZONE]},
                ],
            }
            for capacity in CAPACITY_TYPES
        ],
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": {
            # Added back, so that what is left for pods is what EC2 leaves.
            "cpu": f"{machine.allocatable_cpu_millicores + KUBELET_CPU_MILLICORES}m",
            "memory": f"{machine.allocatable_memory_mib + KUBELET_MEMORY_MIB}Mi",
            "ephemeral-storage": f"{machine.local_disk_gb}G",
            "pods": "110",
            GPU_RESOURCE: str(machine.accelerator_count),
        },
    }


@dataclass
class LocalClusterArgs:
    """kubeconfig: path of the file that reaches the cluster.

    node_startup_seconds: from buying an imitated machine to its joining the cluster.
    """

    kubeconfig: str
    node_startup_seconds: int


class LocalCluster(pulumi.ComponentResource):
    """The cluster that `make up` started, as the contract in infra/cluster.py."""

    cluster: Cluster

    def __init__(self, name: str, args: LocalClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("llm-platform:infra:LocalCluster", name, {}, opts)
        provider = k8s.Provider(
            f"{name}-kubernetes",
            kubeconfig=args.kubeconfig,
            # Without it a change of the kubeconfig, such as another port, would replace every resource.
            cluster_identifier=name,
            # ConfigMaps are changed in place and reach running pods; otherwise each edit would replace them.
            enable_config_map_mutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        node_class = CustomResource(
            f"{name}-node-class",
            api_version=f"{NODE_CLASS.group}/v1alpha1",
            kind=NODE_CLASS.kind,
            metadata=ObjectMetaArgs(name=NODE_CLASS.name),
            spec={"nodeRegistrationDelay": f"{args.node_startup_seconds}s"},
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        )
        self.cluster = Cluster(
            name=name,
            provider=provider,
            node_class=NODE_CLASS,
            gateway_service_type="LoadBalancer",
            system_node_selector={NODE_POOL_LABEL: "system"},
            requirements=(node_class,),
        )
        self.register_outputs({})
