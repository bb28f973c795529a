from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from stacks.load import parse
from stacks.plan import Plan, make_plan
from stacks.plan.judgement import refusals, warnings
from tests.stacks.environments import aws_values, local_values

PRICES_OF = date(2026, 7, 20)


def plan_of(**sections: Any) -> Plan:
    return make_plan(parse({**local_values(), **sections}, origin="test"))


def test_a_price_warns_from_its_46th_day_on():
    plan = plan_of()
    assert warnings(plan, PRICES_OF + timedelta(days=45)) == []
    (warning,) = warnings(plan, PRICES_OF + timedelta(days=46))
    assert warning.startswith("prices are up to 46 days old, more than 45: g6.2xlarge of 2026-07-20")
    assert "make refresh-prices" in warning


def test_an_override_is_as_old_as_it_says():
    override = {
        "machine_type": "g6.2xlarge",
        "usd_per_hour": 0.9,
        "as_of": "2026-11-20",
        "source": "contract",
    }
    (warning,) = warnings(plan_of(price_overrides=[override]), date(2026, 11, 24))
    assert "g7e.12xlarge" in warning
    assert "g6.2xlarge" not in warning


def test_prices_of_another_region_are_named():
    values = aws_values()
    values["cluster"]["region"] = "eu-central-1"
    found = warnings(make_plan(parse(values, origin="test")), PRICES_OF)
    (warning,) = [line for line in found if "the cluster is in eu-central-1" in line]
    assert "g6.2xlarge (us-east-1)" in warning


def test_spot_without_a_price_is_planned_at_the_on_demand_price_and_says_so():
    values = local_values()
    values["node_pools"][0]["capacity"] = ["spot", "on-demand"]
    plan = make_plan(parse(values, origin="test"))
    assert plan.pools[0].usd_per_machine_hour == 0.9776
    (warning,) = warnings(plan, PRICES_OF)
    assert warning.startswith("g6.2xlarge: no spot price is known")


# The local stack: 6762 $/month at minimum, 8190 expected, 15666 at most.
@pytest.mark.parametrize(
    ("budget", "mode", "refused", "warned"),
    [
        (16000, "refuse", 0, 0),
        (10000, "refuse", 1, 0),
        (10000, "warn", 0, 1),
        (8000, "refuse", 1, 1),
        (8000, "warn", 0, 2),
        (0, "refuse", 1, 1),
    ],
)
def test_budget(budget: float, mode: str, refused: int, warned: int):
    plan = plan_of(budget={"monthly_usd": budget, "if_maximum_exceeds": mode})
    assert len(refusals(plan)) == refused
    assert len(warnings(plan, PRICES_OF)) == warned


def test_a_refusal_names_field_value_and_what_would_work():
    (problem,) = refusals(plan_of(budget={"monthly_usd": 10000}))
    assert str(problem) == (
        "budget.monthly_usd: 10000 is less than the 15666 $/month that the autoscalers may reach: lower "
        "replicas.max or max_nodes (most of it is 2 machines of pool rtx-pro-6000, 12098 $/month), raise the "
        "budget, or accept it with budget.if_maximum_exceeds: warn"
    )


def test_no_budget_compares_nothing():
    assert refusals(plan_of()) == []
