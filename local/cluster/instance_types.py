"""The machines that can be bought on the local cluster: AWS's names, sizes and prices.

So the node pool that is tested here is the one that a team ships to EKS.
"""

import json
from collections.abc import Mapping

from infra.scheduling import GPU_RESOURCE
from sizing.hardware.machines import Machine, machines_of

ZONE = "local-a"

KUBELET_CPU_MILLICORES = 100
KUBELET_MEMORY_MIB = 10
"""What Karpenter's KWOK provider subtracts from every machine (kwok/cloudprovider/helpers.go)."""

IMITATED_CLOUD = "aws"
"""Whose machines can be bought here."""

CAPACITY_TYPES = ("on-demand", "spot")
"""What can be bought here. Spot prices move by the hour: an imitated spot machine costs as on demand."""


def karpenter_instance_types() -> str:
    """The machines that Karpenter's KWOK provider can imitate: the JSON of its INSTANCE_TYPES_FILE_PATH."""
    return json.dumps([_instance_type(machine) for machine in machines_of(IMITATED_CLOUD)], indent=1)


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
