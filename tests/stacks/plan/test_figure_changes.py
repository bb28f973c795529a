from __future__ import annotations

from dataclasses import replace

import pytest

from sizing.cost import Span
from stacks.load import from_file
from stacks.plan import Plan, make_plan
from stacks.plan.change import Change
from stacks.plan.figure_changes import figure_changes


@pytest.fixture
def plan() -> Plan:
    return make_plan(from_file("local"))


def test_the_same_plan_has_no_changes(plan: Plan):
    assert figure_changes(plan, plan, {}) == []


def test_what_a_replica_holds_is_compared_figure_by_figure(plan: Plan):
    chat, *others = plan.models
    fit = replace(chat.fit, kv_tokens=40000, max_concurrency=4.04)
    before = replace(plan, models=(replace(chat, fit=fit), *others))
    fit = replace(chat.fit, kv_tokens=40000, max_concurrency=2.02)
    after = replace(plan, models=(replace(chat, fit=fit), *others))
    assert figure_changes(before, after, {}) == [
        Change("chat", "full-length requests per replica", "4.0", "2.0", "loss")
    ]
    assert figure_changes(after, before, {})[0].effect == "gain"


def test_what_is_shown_alike_is_no_change(plan: Plan):
    chat, *others = plan.models
    shares = [replace(chat, fit=replace(chat.fit, max_concurrency=value)) for value in (4.01, 4.04)]
    before, after = (replace(plan, models=(share, *others)) for share in shares)
    assert figure_changes(before, after, {}) == []


def test_money_is_per_month_of_730_hours(plan: Plan):
    chat, *others = plan.models
    before = replace(plan, models=(replace(chat, usd_per_hour=Span(1, 2, 3)), *others))
    after = replace(plan, models=(replace(chat, usd_per_hour=Span(1, 2, 4)), *others))
    assert figure_changes(before, after, {}) == [
        Change("chat", "$/month", "730 / 1460 / 2190", "730 / 1460 / 2920", "dearer")
    ]


def test_a_model_is_compared_with_what_it_was_called(plan: Plan):
    chat, *others = plan.models
    slower = replace(chat, replicas_expected=chat.replicas_expected + 1)
    renamed = replace(slower, replica=replace(slower.replica, name="talk"))
    after = replace(plan, models=(renamed, *others))
    assert {change.subject for change in figure_changes(plan, after, {"chat": "talk"})} == {"talk"}
    assert figure_changes(plan, after, {}) == []


def test_fewer_machines_that_are_not_spot_are_a_loss(plan: Plan):
    pool, *others = plan.pools
    before = replace(plan, pools=(replace(pool, max_nodes_by_capacity={"on-demand": 6}), *others))
    after = replace(plan, pools=(replace(pool, max_nodes_by_capacity={"on-demand": 3, "spot": 3}), *others))
    assert figure_changes(before, after, {}) == [
        Change("pool l4", "machines at most that are not spot", "6", "3", "loss")
    ]


def test_a_larger_pool_whose_share_of_spot_grows_loses_nothing(plan: Plan):
    pool, *others = plan.pools
    before = replace(plan, pools=(replace(pool, max_nodes_by_capacity={"on-demand": 3, "spot": 3}), *others))
    after = replace(plan, pools=(replace(pool, max_nodes_by_capacity={"on-demand": 3, "spot": 4}), *others))
    assert figure_changes(before, after, {}) == []
