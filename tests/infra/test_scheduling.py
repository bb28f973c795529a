from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.accelerators import accelerator
from infra.cluster import NodeClass
from infra.karpenter import node_pool_spec
from infra.machines import MACHINES, Machine, machine
from infra.scheduling import ACCELERATOR_LABEL, NODE_POOL_LABEL, NodePool


def pool(*machine_types: str) -> NodePool:
    machines = tuple(machine(name) for name in machine_types)
    assert machines[0].accelerator is not None
    return NodePool(
        name="large",
        accelerator=accelerator(machines[0].accelerator),
        machines=machines,
        capacity=("reserved", "on-demand"),
        max_nodes=3,
        scale_down_after_seconds=120,
    )


@given(row=st.sampled_from(sorted(MACHINES.values(), key=lambda row: row.name)))
def test_as_many_replicas_as_gpus_allow_fit_a_machine(row: Machine):
    for gpus in range(1, row.accelerator_count + 1):
        share = pool(row.name).share(gpus)
        fitting = row.accelerator_count // gpus
        assert fitting * share.cpu_millicores <= row.allocatable_cpu_millicores
        assert fitting * share.memory_mib <= row.allocatable_memory_mib


def test_a_share_fits_whichever_machine_is_bought():
    mixed = pool("g6.2xlarge", "g6.12xlarge")
    assert mixed.share(1) == pool("g6.2xlarge").share(1)
    assert mixed.share(4).memory_mib == int(machine("g6.12xlarge").allocatable_memory_mib * 0.9)


def test_a_replica_larger_than_every_machine():
    with pytest.raises(ValueError, match="no machine of pool large has 2 GPUs"):
        pool("g6.2xlarge").share(2)


def test_the_node_pool_that_karpenter_gets():
    spec = node_pool_spec(
        pool("g7e.12xlarge", "g7e.24xlarge"), NodeClass("karpenter.k8s.aws", "EC2NodeClass", "gpu")
    )
    assert spec == {
        "template": {
            "metadata": {"labels": {NODE_POOL_LABEL: "large", ACCELERATOR_LABEL: "nvidia-rtx-pro-6000-96gb"}},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
                "requirements": [
                    {
                        "key": "node.kubernetes.io/instance-type",
                        "operator": "In",
                        "values": ["g7e.12xlarge", "g7e.24xlarge"],
                    },
                    {
                        "key": "karpenter.sh/capacity-type",
                        "operator": "In",
                        "values": ["reserved", "on-demand"],
                    },
                ],
                "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
                "expireAfter": "Never",
            },
        },
        "limits": {"nodes": 3, "nvidia.com/gpu": 12},
        "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "120s"},
    }
