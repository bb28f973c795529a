from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from stacks.load import parse
from tests.stacks.environments import local_values
from tests.stacks.validate.test_cluster import problems

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
