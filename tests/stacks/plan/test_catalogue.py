from __future__ import annotations

from datetime import date

from sizing.hardware.machines import machines_in
from stacks.load import parse
from stacks.plan.catalogue import OVERRIDDEN, catalogue, price_region, with_prices_stated
from tests.stacks.environments import aws_values, local_values
from tests.stacks.validate.test_node_pools import gcp_pool

OVERRIDE = {"machine_type": "g6.2xlarge", "usd_per_hour": 0.5, "as_of": "2026-11-20", "source": "contract"}


def test_prices_are_those_of_the_region():
    values = gcp_pool()
    values["cluster"]["region"] = "europe-west4"
    stack = parse(values, origin="test")
    assert price_region(stack.cluster, "gcp") == "europe-west4"
    assert catalogue(stack) == machines_in("gcp", "europe-west4")


def test_a_cluster_without_a_region_has_the_reference():
    stack = parse(local_values(), origin="test")
    assert price_region(stack.cluster, "aws") == "us-east-1"
    assert catalogue(stack) == machines_in("aws", "us-east-1")


def test_an_override_replaces_the_row():
    row = catalogue(parse({**aws_values(), "price_overrides": [OVERRIDE]}, origin="test"))["g6.2xlarge"]
    assert (row.price_per_hour_usd, row.region, row.as_of) == (0.5, OVERRIDDEN, date(2026, 11, 20))


def test_stated_prices_hold_on_any_cluster():
    values = gcp_pool()
    values["cluster"]["region"] = "europe-west4"
    stack = parse(values, origin="test")
    elsewhere = with_prices_stated(stack).model_copy(
        update={"cluster": parse(local_values(), origin="test").cluster}
    )
    here, there = catalogue(stack)["g2-standard-8"], catalogue(elsewhere)["g2-standard-8"]
    assert there.price_per_hour_usd == here.price_per_hour_usd
    assert there.spot_price_per_hour_usd == here.spot_price_per_hour_usd
