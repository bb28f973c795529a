"""COST-001-ADVICE: the age of prices, and an excess that the budget allows."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from policies.rules.budget_and_prices_reviewed import RULE
from tests.policies.judging import changed, golden, judge, without

L4 = golden("nodepool-l4")
RECENT = {"max_price_age_days": 100_000}


@pytest.mark.parametrize(("days", "passes"), [(45, True), (46, False)])
def test_a_price_is_old_after_45_days(days, passes, configure):
    as_of = (date.today() - timedelta(days=days)).isoformat()
    configure("price_overrides", [{"machine_type": "g6.2xlarge", "usd_per_hour": 1, "as_of": as_of}])
    violations = judge(RULE, L4).violations
    assert (violations == []) == passes
    if not passes:
        assert f"the price of g6.2xlarge is 46 days old ({as_of})" in violations[0]


def test_settings_say_what_is_old():
    assert judge(RULE, L4, config=RECENT).violations == []
    assert judge(RULE, L4, config={"max_price_age_days": 0}).violations


@pytest.mark.parametrize(("allowed", "said"), [("warn", True), ("refuse", False)])
def test_an_excess_that_the_budget_allows_is_told(allowed, said, configure):
    configure("budget", {"monthly_usd": 1, "if_maximum_exceeds": allowed})
    violations = judge(RULE, L4, config=RECENT).violations
    assert bool(violations) == said
    assert all("which if_maximum_exceeds allows" in violation for violation in violations)


def test_an_allowed_budget_that_holds_is_not_mentioned(configure):
    configure("budget", {"monthly_usd": 1_000_000, "if_maximum_exceeds": "warn"})
    assert judge(RULE, L4, config=RECENT).violations == []


def test_what_cost_001_refuses_is_not_told_twice(configure):
    configure("budget", {"monthly_usd": 1, "if_maximum_exceeds": "warn"})
    assert judge(RULE, without(L4, "spec.limits"), config=RECENT).violations == []


def test_odd_types_are_reported_and_no_crash():
    (violation,) = judge(RULE, changed(L4, "spec.template.spec.requirements", "g6"), config=RECENT).violations
    assert "expected a list" in violation
