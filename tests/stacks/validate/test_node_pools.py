from __future__ import annotations

from typing import Any

import pytest

from tests.stacks.environments import local_values
from tests.stacks.validate.test_cluster import EXISTING, GCP, aws, on, problems


def first_pool(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    values["node_pools"][0].update(changes)
    return values


def test_spot_alone_does_not_carry_what_is_promised_to_be_there():
    (line,) = problems(first_pool(aws(), capacity=["spot"]))
    assert line.startswith("node_pools[0].capacity: only spot is not enough for chat (0.999)")
    assert "Add on-demand, or promise a slo.availability below 0.99" in line


@pytest.mark.parametrize(("availability", "capacity", "count"), [
    (0.98, ["spot"], 0),
    (0.99, ["spot"], 1),
    (0.999, ["spot", "on-demand"], 0),
    (0.999, ["reserved"], 0),
])  # fmt: skip
def test_what_spot_may_carry(availability: float, capacity: list[str], count: int):
    values = first_pool(aws(), capacity=capacity)
    values["models"][0]["slo"]["availability"] = availability
    assert len(problems(values)) == count


def test_nothing_is_known_of_reservations_on_a_cluster_that_is_not_built_here():
    (line,) = problems(first_pool(on(EXISTING), capacity=["reserved"]))
    assert "only reserved is not possible" in line
    assert "existing" in line


@pytest.mark.parametrize("capacity", [["reserved", "spot"], ["spot", "reserved"]])
@pytest.mark.parametrize("cluster", ["existing", "local"])
def test_a_reservation_that_may_not_be_there_does_not_carry_what_is_promised(
    cluster: str, capacity: list[str]
):
    values = local_values() if cluster == "local" else on(EXISTING)
    line, *_ = problems(first_pool(values, capacity=capacity))
    assert line.startswith("node_pools[0].capacity: only spot is not enough for chat")


def test_a_type_that_is_named_twice_is_one_problem():
    assert problems(gcp_pool(capacity=["on-demand", "on-demand"])) == [
        'node_pools[0].capacity[1]: "on-demand" is already used by node_pools[0].capacity[0]: choose another'
    ]


def gcp_pool(**changes: Any) -> dict[str, Any]:
    values = on(GCP)
    values["models"] = values["models"][:1]
    values["node_pools"] = values["node_pools"][:1]
    return first_pool(values, **{"machine_types": ["g2-standard-8"], "disk_gib": 200, **changes})


def test_a_machine_without_a_disk_needs_one():
    values = gcp_pool()
    del values["node_pools"][0]["disk_gib"]
    (line,) = problems(values)
    assert line.startswith("node_pools[0].disk_gib: required for g2-standard-8")


def test_an_attached_disk_has_bounds():
    (line,) = problems(gcp_pool(disk_gib=20))
    assert line.startswith("node_pools[0].disk_gib: 20 must be at least 50")


def test_a_machine_without_a_price_wants_one():
    values = gcp_pool(accelerator="nvidia-h100-80gb", machine_types=["a3-highgpu-1g"])
    line = problems(values)[0]
    assert line.startswith(
        'node_pools[0].machine_types[0]: "a3-highgpu-1g" has no known price in us-central1 (sold as Spot'
    )
    assert "a3-highgpu-8g" in line
    values["price_overrides"] = [
        {"machine_type": "a3-highgpu-1g", "usd_per_hour": 7.0, "as_of": "2026-11-20", "source": "quote"}
    ]
    # A price of one's own does not make it sold on demand.
    assert problems(values) == [
        "node_pools[0].capacity: on-demand is not possible: a3-highgpu-1g is sold as spot only. Name these, "
        "or another machine type"
    ]
    for model in values["models"]:
        model["slo"]["availability"] = 0.95
    values["node_pools"][0]["capacity"] = ["spot"]
    assert problems(values) == []


@pytest.mark.parametrize(
    ("machine_type", "accelerator", "order", "missing", "sold"),
    [
        ("a3-ultragpu-8g", "nvidia-h200-141gb", ["on-demand"], "on-demand", "reserved and spot"),
        ("a4-highgpu-8g", "nvidia-b200", ["reserved", "on-demand"], "on-demand", "reserved and spot"),
        ("a3-highgpu-2g", "nvidia-h100-80gb", ["reserved"], "reserved", "spot"),
        ("a3-highgpu-4g", "nvidia-h100-80gb", ["reserved", "on-demand"], "reserved, on-demand", "spot"),
    ],
)
def test_a_machine_that_is_not_sold_this_way(
    machine_type: str, accelerator: str, order: list[str], missing: str, sold: str
):
    values = gcp_pool(accelerator=accelerator, machine_types=[machine_type], capacity=order)
    values["price_overrides"] = [
        {"machine_type": machine_type, "usd_per_hour": 7.0, "as_of": "2026-11-20", "source": "quote"}
    ]
    (line,) = [line for line in problems(values) if line.startswith("node_pools[0].capacity")]
    assert f"{missing} is not possible: {machine_type} is sold as {sold} only" in line


@pytest.mark.parametrize(
    ("region", "machine_type", "accelerator", "instead"),
    [
        (
            "eu-west-1",
            "g6.2xlarge",
            "nvidia-l4",
            "No machine with nvidia-l4 is. Regions that have it: eu-central-1",
        ),
        (
            "us-gov-west-1",
            "g7e.12xlarge",
            "nvidia-rtx-pro-6000-96gb",
            "Regions that have it: us-east-1, us-east-2",
        ),
        ("us-east-2", "p4de.24xlarge", "nvidia-a100-80gb", "No machine with nvidia-a100-80gb is"),
        ("us-west-1", "p5.4xlarge", "nvidia-h100-80gb", "Sold there: p5.48xlarge"),
        ("eu-west-3", "p6-b300.48xlarge", "nvidia-b300", "Regions that have it: eu-west-2"),
    ],
)
def test_a_machine_that_the_region_has_not(region: str, machine_type: str, accelerator: str, instead: str):
    values = first_pool(aws(region=region), accelerator=accelerator, machine_types=[machine_type])
    values["price_overrides"] = [
        {"machine_type": machine_type, "usd_per_hour": 7.0, "as_of": "2026-11-20", "source": "quote"}
    ]
    (line,) = [line for line in problems(values) if line.startswith("node_pools[0].machine_types[0]")]
    assert f'"{machine_type}" is not sold in {region} (price list of 2026-10-20)' in line
    assert instead in line


@pytest.mark.parametrize(
    "order", [["on-demand", "spot"], ["spot", "on-demand"], ["reserved", "spot", "on-demand"]]
)
def test_an_order_takes_as_many_nodes_as_it_has_shares(order: list[str]):
    values = first_pool(aws(), capacity=order, max_nodes=1)
    values["models"][0]["replicas"] = {"min": 1, "max": 1}
    values["models"][0]["expected_load"]["requests_per_second"] = 0.5
    (line,) = problems(values)
    assert line.startswith(f"node_pools[0].max_nodes: 1 is not enough for capacity {' before '.join(order)}")
    assert "Raise max_nodes to 2" in line
    assert problems(first_pool(values, max_nodes=2)) == []


def test_a_reservation_takes_no_node_of_its_own():
    values = first_pool(aws(), capacity=["reserved", "on-demand"], max_nodes=1)
    values["models"][0]["replicas"] = {"min": 1, "max": 1}
    values["models"][0]["expected_load"]["requests_per_second"] = 0.5
    assert problems(values) == []


@pytest.mark.parametrize(("order", "kept"), [
    (["on-demand"], True),
    (["spot"], True),
    (["reserved", "on-demand"], True),
    (["on-demand", "spot"], False),
    (["spot", "on-demand"], False),
    (["reserved", "spot"], False),
    (["on-demand", "reserved"], False),
    (["reserved", "on-demand", "spot"], False),
])  # fmt: skip
def test_an_order_that_only_karpenter_keeps(order: list[str], kept: bool):
    unlikely = gcp_pool(capacity=order)
    unlikely["models"][0]["slo"]["availability"] = 0.95
    existing = first_pool(on({**EXISTING, "node_autoscaler": "cluster-autoscaler"}), capacity=order)
    existing["models"][0]["slo"]["availability"] = 0.95
    for values in (unlikely, existing):
        found = problems(values)
        if kept:
            assert found == []
        else:
            (line,) = found
            assert line.startswith(
                f"node_pools[0].capacity: {' before '.join(order)} is not possible: only K"
            )
