"""COST-001: limits of node pools times prices, against a budget."""

from __future__ import annotations

import pytest

from policies.rules.spending_within_budget import RULE
from sizing.hardware.machines import MACHINES
from tests.policies.judging import changed, golden, judge, without

L4, RTX = golden("nodepool-l4"), golden("nodepool-rtx-pro-6000")
L4_USD = MACHINES["g6.2xlarge"].price_per_hour_usd
RTX_USD = MACHINES["g7e.12xlarge"].price_per_hour_usd
MOST = 6 * L4_USD + 3 * RTX_USD
"""What the two pools cost at their limits, dollars per hour."""


@pytest.mark.parametrize(
    ("config", "passes"),
    [
        ({}, True),
        ({"usd_per_hour": MOST + 0.01}, True),
        ({"usd_per_hour": MOST - 0.01}, False),
        ({"usd_per_month": MOST * 730 + 1}, True),
        ({"usd_per_month": MOST * 730 - 1}, False),
        ({"usd_per_hour": 0}, False),
        ({"usd_per_hour": 10_000, "usd_per_month": 1}, False),
    ],
)
def test_budgets_of_the_configuration(config, passes):
    assert (judge(RULE, L4, RTX, config=config).violations == []) == passes


def test_a_pool_that_names_no_way_of_buying_is_priced_all_the_same():
    unstated = changed(L4, "spec.template.spec.requirements.1.values", [])
    assert "6 x g6.2xlarge" in judge(RULE, unstated, config={"usd_per_hour": 1}).violations[0]


def test_the_violation_shows_the_sum():
    (violation,) = judge(RULE, L4, RTX, config={"usd_per_hour": 1}).violations
    assert violation.startswith(f"stack: node pools may reach {MOST:.2f} $/h, {MOST * 730:,.0f} $/month")
    assert f"NodePool/l4 6 x g6.2xlarge {6 * L4_USD:.2f} $/h" in violation


@pytest.mark.parametrize(
    ("budget", "passes"),
    [
        ({"monthly_usd": MOST * 730 + 1}, True),
        ({"monthly_usd": MOST * 730 - 1}, False),
        ({"monthly_usd": 0}, False),
        ({"monthly_usd": 0, "if_maximum_exceeds": "warn"}, True),
        # Another program may mean something else by the word.
        ("large", True),
        ({"team": "serving"}, True),
    ],
)
def test_without_one_the_budget_of_the_stack_counts(budget, passes, configure):
    configure("budget", budget)
    assert (judge(RULE, L4, RTX).violations == []) == passes
    assert judge(RULE, L4, RTX, config={"usd_per_hour": 1000}).violations == []


def test_prices_that_the_stack_overrides(configure):
    override = {
        "machine_type": "g6.2xlarge",
        "usd_per_hour": 0.5,
        "as_of": "2026-11-01",
        "source": "contract",
    }
    configure("price_overrides", [override])
    assert judge(RULE, L4, config={"usd_per_hour": 3}).violations == []
    assert len(judge(RULE, L4, config={"usd_per_hour": 2.9}).violations) == 1


@pytest.mark.parametrize(
    ("limits", "usd"),
    [
        ({"nodes": 2}, 2 * RTX_USD),
        ({"nvidia.com/gpu": 5}, 2 * RTX_USD),
        ({"nodes": 9, "nvidia.com/gpu": "4"}, 2 * RTX_USD),
        ({"cpu": "96"}, 2 * RTX_USD),
        ({"nodes": 0}, 0),
    ],
)
def test_the_tightest_limit_counts(limits, usd):
    pool = changed(RTX, "spec.limits", limits)
    assert judge(RULE, pool, config={"usd_per_hour": usd}).violations == []
    if usd > 0:
        assert len(judge(RULE, pool, config={"usd_per_hour": usd - 0.01}).violations) == 1


def test_a_pool_that_is_bought_in_turn_may_spend_what_its_limits_allow_together():
    first = changed(L4, "spec.limits", {"nodes": 4, "nvidia.com/gpu": 4})
    spot = changed(changed(L4, "metadata.name", "l4.spot"), "spec.limits", {"nodes": 2, "nvidia.com/gpu": 2})
    spot = changed(spot, "spec.template.spec.requirements.1.values", ["spot"])
    assert judge(RULE, first, spot, config={"usd_per_hour": 6 * L4_USD + 0.01}).violations == []
    (violation,) = judge(RULE, first, spot, config={"usd_per_hour": 5 * L4_USD}).violations
    assert "NodePool/l4 4 x g6.2xlarge" in violation
    assert "NodePool/l4.spot 2 x g6.2xlarge" in violation


def test_the_dearest_machine_counts():
    both = changed(L4, "spec.template.spec.requirements.0.values", ["g6.2xlarge", "g6.4xlarge"])
    dearest = 6 * MACHINES["g6.4xlarge"].price_per_hour_usd
    assert judge(RULE, both, config={"usd_per_hour": dearest}).violations == []
    assert len(judge(RULE, both, config={"usd_per_hour": dearest - 0.01}).violations) == 1


def test_machines_without_gpus_have_prices_too():
    system = changed(L4, "spec.template.spec.requirements.0.values", ["m7i.large"])
    assert (
        judge(RULE, changed(system, "spec.limits", {"nodes": 1}), config={"usd_per_hour": 1}).violations == []
    )


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        (without(L4, "spec.limits"), "it has no limits"),
        (changed(L4, "spec.limits", {"memory": "1Ti"}), "it has no limits"),
        (changed(L4, "spec.template", {}), "it names no machine types"),
        (changed(L4, "spec.template.spec.requirements.0.values", ["g99.large"]), "price of g99.large"),
        (changed(L4, "spec.limits.nodes", "many"), "expected a number"),
        (changed(L4, "spec.limits", [6]), "expected an object"),
    ],
)
def test_what_nobody_can_say_is_a_violation_even_without_a_budget(pool, said):
    (violation,) = judge(RULE, pool).violations
    assert violation.startswith("NodePool/l4: ")
    assert said in violation
