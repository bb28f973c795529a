from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from stacks.load import parse
from stacks.plan import make_plan
from tests.stacks.environments import aws_values, local_values
from tests.stacks.validate.test_cluster import problems
from tests.stacks.validate.test_node_pools import gcp_pool

PRICE = {"machine_type": "g6.2xlarge", "usd_per_hour": 0.9, "as_of": "2026-11-20", "source": "contract"}


def overridden(*prices: dict[str, Any]) -> dict[str, Any]:
    return {**local_values(), "price_overrides": list(prices)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"machine_type": "g6.3xlarge"},
            'price_overrides[0].machine_type: "g6.3xlarge" is unknown: did you mean',
        ),
        ({"usd_per_hour": 0}, "price_overrides[0].usd_per_hour: 0 must be above 0"),
        ({"spot_usd_per_hour": 1.0}, "price_overrides[0].spot_usd_per_hour: 1 is above usd_per_hour 0.9"),
        ({"as_of": "yesterday"}, 'price_overrides[0].as_of: "yesterday" must be a day such as 2026-11-24'),
        ({"source": ""}, 'price_overrides[0].source: "" must not be empty'),
        ({"price": 1}, "price_overrides[0].price: unknown key"),
    ],
)
def test_one_mistake_is_one_line(change: dict[str, Any], expected: str):
    (line,) = problems(overridden({**PRICE, **change}))
    assert expected in line


def test_a_price_is_overridden_once():
    (line,) = problems(overridden(PRICE, PRICE))
    assert line.startswith('price_overrides[1].machine_type: "g6.2xlarge" is already used')


def test_a_day_may_come_as_text_or_as_yaml_reads_it():
    as_text = parse(overridden(PRICE), origin="test")
    as_date = parse(overridden({**PRICE, "as_of": date(2026, 11, 20)}), origin="test")
    assert as_text == as_date


@pytest.mark.parametrize("tags", [{"team": "platform"}, {"a": "0"}, {"cost_center": "ai-serving"}])
def test_tags(tags: dict[str, str]):
    assert problems({**local_values(), "tags": tags}) == []


@pytest.mark.parametrize(
    "tags", [{"Team": "x"}, {"team": "Über"}, {"team": ""}, {"team": "a" * 64}, {"-a": "x"}]
)
def test_tags_that_some_cloud_refuses(tags: dict[str, str]):
    (line,) = problems({**local_values(), "tags": tags})
    (key,) = tags
    assert line.startswith(f"tags.{key}: ")
    assert "1 to 63 characters" in line


def test_zero_is_a_budget_and_not_no_budget():
    stack = parse({**local_values(), "budget": {"monthly_usd": 0}}, origin="test")
    assert stack.budget is not None
    assert stack.budget.monthly_usd == 0


def test_a_machine_without_a_price_in_the_region_says_what_to_do():
    values = gcp_pool(accelerator="nvidia-a100-80gb", machine_types=["a2-ultragpu-1g"], disk_gib=None)
    values["cluster"]["region"] = "us-west1"
    place = "node_pools[0].machine_types[0]: "
    (line,) = [found for found in problems(values) if "no known price" in found]
    assert line == (
        f'{place}"a2-ultragpu-1g" has no known price in us-west1 (other machine types have one): give it '
        "under price_overrides, or ask for it with "
        "`python -m sizing.hardware.prices --cloud gcp --region us-west1`"
    )
    values["price_overrides"] = [{**PRICE, "machine_type": "a2-ultragpu-1g", "usd_per_hour": 9}]
    assert [found for found in problems(values) if "no known price" in found] == []


def test_a_region_without_prices_refuses_system_machines_too():
    values = aws_values()
    values["cluster"]["region"] = "ca-west-1"
    lines = [line for line in problems(values) if "(no prices of ca-west-1 are known)" in line]
    # The pools' machines are not sold there at all.
    assert [line.split(": ")[0] for line in lines] == ["cluster.system_nodes.machine_type"]


def test_a_region_whose_prices_are_older_than_a_machine_refuses_that_machine():
    values = aws_values()
    values["cluster"]["region"] = "eu-central-1"
    lines = [line for line in problems(values) if "no known price in eu-central-1" in line]
    assert [line.split(": ")[0] for line in lines] == ["node_pools[1].machine_types[0]"]
    assert '"g7e.12xlarge"' in lines[0]


def test_a_plan_in_another_region_has_its_prices():
    values = gcp_pool()
    iowa, holland = (
        make_plan(parse({**values, "cluster": {**values["cluster"], "region": region}}, origin="test"))
        for region in ("us-central1", "europe-west4")
    )
    assert iowa.price_regions == ("us-central1",)
    # Control plane and NAT have no price of their own there.
    assert holland.price_regions == ("europe-west4", "us-central1")
    # g2-standard-8: 0.897202 and 0.853624 $/h. The disk has the reference's price in both.
    more = holland.pools[0].usd_per_machine_hour - iowa.pools[0].usd_per_machine_hour
    assert more == pytest.approx(0.043578)
