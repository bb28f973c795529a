from __future__ import annotations

import json

from local.cluster.instance_types import karpenter_instance_types
from sizing.hardware.machines import MACHINES, machine


def test_every_machine_can_be_bought_at_its_price():
    types = {item["name"]: item for item in json.loads(karpenter_instance_types())}
    assert types.keys() == {name for name, row in MACHINES.items() if row.cloud == "aws"}
    for name, item in types.items():
        assert {offering["Price"] for offering in item["offerings"]} == {MACHINES[name].price_per_hour_usd}
        assert item["resources"]["nvidia.com/gpu"] == str(MACHINES[name].accelerator_count)


def test_what_pods_get_is_what_ec2_leaves_them():
    (item,) = [item for item in json.loads(karpenter_instance_types()) if item["name"] == "g6.2xlarge"]
    # Karpenter's KWOK provider takes 100m and 10Mi for the kubelet.
    assert item["resources"]["cpu"] == f"{machine('g6.2xlarge').allocatable_cpu_millicores + 100}m"
    assert item["resources"]["memory"] == f"{machine('g6.2xlarge').allocatable_memory_mib + 10}Mi"


def test_an_offering_has_the_shape_that_karpenter_reads():
    item = json.loads(karpenter_instance_types())[0]
    assert item.keys() == {"name", "offerings", "architecture", "operatingSystems", "resources"}
    offering = item["offerings"][0]
    assert offering.keys() == {"Price", "Available", "Requirements"}
    assert {requirement["key"] for requirement in offering["Requirements"]} == {
        "karpenter.sh/capacity-type",
        "topology.kubernetes.io/zone",
    }
