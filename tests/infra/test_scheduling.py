from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.karpenter import NodeClass, node_pools
from infra.scheduling import ACCELERATOR_LABEL, NODE_POOL_LABEL, NodePool, node_shares
from sizing.hardware.accelerators import accelerator
from sizing.hardware.machines import MACHINES, Machine, machine

NODE_CLASS = NodeClass("karpenter.k8s.aws", "EC2NodeClass", "gpu")

CAPACITY = ("reserved", "on-demand", "spot")
ORDERS = [order for length in (1, 2, 3) for order in permutations(CAPACITY, length)]
"""Every list that `capacity` of a pool can be."""


def pool(*machine_types: str) -> NodePool:
    machines = tuple(machine(name) for name in machine_types)
    assert machines[0].accelerator is not None
    return NodePool(
        name="large",
        accelerator=accelerator(machines[0].accelerator),
        machines=machines,
        capacity=("reserved", "on-demand"),
        min_nodes=0,
        max_nodes=3,
        disk_gib=None,
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
    specs = node_pools(pool("g7e.12xlarge", "g7e.24xlarge"), NODE_CLASS)
    assert specs.keys() == {"large"}
    assert specs["large"] == {
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


def all_ways_to_share(nodes: int, limits: int) -> list[list[int]]:
    if limits == 1:
        return [[nodes]]
    return [
        [first, *rest]
        for first in range(1, nodes - limits + 2)
        for rest in all_ways_to_share(nodes - first, limits - 1)
    ]


@given(order=st.sampled_from(ORDERS), nodes=st.integers(3, 1000))
def test_shares_add_up_to_the_nodes_and_keep_the_order(order: tuple[str, ...], nodes: int):
    shares = node_shares(nodes, order)
    assert tuple(kind for kinds in shares for kind in kinds) == order
    counts = list(shares.values())
    assert sum(counts) == nodes
    # Equal, but for what is left over, which goes to the preferred ones.
    assert counts == sorted(counts, reverse=True)
    assert 1 <= counts[-1] <= counts[0] <= counts[-1] + 1


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("nodes", [3, 4, 7])
def test_no_other_shares_leave_more_whichever_is_sold_out(order: tuple[str, ...], nodes: int):
    ours = list(node_shares(nodes, order).values())
    others = all_ways_to_share(nodes, len(ours))
    assert max(nodes - max(shares) for shares in others) == nodes - max(ours)


@pytest.mark.parametrize(
    ("order", "together"),
    [
        (("reserved", "on-demand"), [("reserved", "on-demand")]),
        (("reserved", "on-demand", "spot"), [("reserved", "on-demand"), ("spot",)]),
        (("reserved", "spot", "on-demand"), [("reserved", "spot"), ("on-demand",)]),
        (("on-demand", "reserved", "spot"), [("on-demand",), ("reserved", "spot")]),
        (("on-demand", "reserved"), [("on-demand",), ("reserved",)]),
        (("spot", "on-demand"), [("spot",), ("on-demand",)]),
    ],
)
def test_a_reservation_has_no_share_of_its_own_while_another_type_follows(
    order: tuple[str, ...], together: list[tuple[str, ...]]
):
    assert list(node_shares(10, order)) == together


@pytest.mark.parametrize(("nodes", "order"), [(1, ("on-demand", "spot")), (1, ()), (0, ("spot",))])
def test_a_share_is_never_nothing(nodes: int, order: tuple[str, ...]):
    with pytest.raises(ValueError, match=f"^{nodes} nodes cannot be shared out"):
        node_shares(nodes, order)


@given(order=st.sampled_from(ORDERS), nodes=st.integers(3, 1000))
def test_karpenter_gets_a_node_pool_for_each_share_by_falling_weight(order: tuple[str, ...], nodes: int):
    bought = replace(pool("g7e.12xlarge", "g7e.24xlarge"), capacity=order, max_nodes=nodes)
    specs: list[Any] = list(node_pools(bought, NODE_CLASS).values())
    shares = node_shares(nodes, order)
    assert [tuple(spec["template"]["spec"]["requirements"][1]["values"]) for spec in specs] == list(shares)
    assert [spec["limits"] for spec in specs] == [
        {"nodes": count, "nvidia.com/gpu": 4 * count} for count in shares.values()
    ]
    if len(specs) == 1:
        assert "weight" not in specs[0]
    else:
        weights = [spec["weight"] for spec in specs]
        assert weights == sorted(set(weights), reverse=True)
        assert 1 <= weights[-1] <= weights[0] <= 100
    for spec in specs:
        # Pods and rules that choose the pool find every one of its machines.
        assert spec["template"]["metadata"]["labels"] == bought.labels
        assert spec["template"]["spec"]["taints"] == specs[0]["template"]["spec"]["taints"]
        assert spec["disruption"] == specs[0]["disruption"]


@given(order=st.sampled_from(ORDERS), fallback=st.sampled_from(CAPACITY))
def test_the_machines_of_a_pool_stay_when_it_gets_a_fallback(order: tuple[str, ...], fallback: str):
    def on_demand(capacity: tuple[str, ...]) -> list[str]:
        specs = node_pools(replace(pool("g7e.12xlarge"), capacity=capacity, max_nodes=9), NODE_CLASS)
        requirements: dict[str, Any] = {
            name: spec["template"]["spec"]["requirements"][1]["values"]  # pyright: ignore[reportIndexIssue]
            for name, spec in specs.items()
        }
        assert all(name.partition(".")[0] == "large" for name in requirements)
        assert "large" in requirements
        return [name for name, kinds in requirements.items() if "on-demand" in kinds]

    more = tuple(dict.fromkeys((*order, fallback)))
    assert on_demand(more) == (["large"] if "on-demand" in more else [])
