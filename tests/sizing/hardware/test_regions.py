"""The tables of regions agree with themselves and with the machines."""

from __future__ import annotations

import pytest

from sizing.hardware.machines import CLOUDS, SHAPES, SYSTEM_SHAPES, Cloud
from sizing.hardware.prices.table import priced_regions, read_prices
from sizing.hardware.regions import nearest, regions_of


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_region_that_is_named_exists(cloud: Cloud):
    known = regions_of(cloud)
    assert len(set(known.regions)) == len(known.regions)
    named = {*known.zones, *(region for sellers in known.sold.values() for region in sellers)}
    assert named <= set(known.regions)
    assert set(priced_regions(cloud)) <= set(known.regions)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_is_sold_is_a_machine(cloud: Cloud):
    names = [name for name, shape in SHAPES.items() if shape.cloud == cloud]
    for line in regions_of(cloud).sold:
        assert any(name == line or name.startswith(f"{line}.") for name in names), line


def test_every_gpu_machine_of_aws_is_sold_somewhere():
    without = {
        name for name, shape in SHAPES.items() if shape.cloud == "aws" and not regions_of("aws").sellers(name)
    }
    # The reading of the price list does not name the two types with more memory beside an L4.
    assert without == {"gr6.4xlarge", "gr6.8xlarge"}


@pytest.mark.parametrize("region", priced_regions("aws"))
def test_what_has_a_price_is_sold(region: str):
    known = regions_of("aws")
    priced = [name for name in read_prices("aws", region) if name not in SYSTEM_SHAPES]
    assert [name for name in priced if not known.sells(name, region)] == []


def test_types_of_one_family_may_differ():
    known = regions_of("aws")
    # Clouds' reading of 2026-10-20: us-west-1 has the machine with eight H100s and not the one with one.
    assert (known.sells("p5.48xlarge", "us-west-1"), known.sells("p5.4xlarge", "us-west-1")) == (True, False)
    assert not known.sells("g6.xlarge", "eu-west-1")
    assert known.sells("gr6.4xlarge", "eu-west-1")  # not known


def test_zones_that_a_cluster_can_use():
    known = regions_of("aws")
    # us-east-1 has six, and EKS takes no control plane in use1-az3.
    assert [known.zones_of(region) for region in ("us-east-1", "us-west-1", "eu-central-1")] == [5, 2, 3]


def test_near_regions_come_first():
    assert nearest("eu-west-1", ("us-east-1", "eu-north-1", "ap-south-1", "eu-west-2")) == (
        "eu-north-1",
        "eu-west-2",
        "us-east-1",
        "ap-south-1",
    )
