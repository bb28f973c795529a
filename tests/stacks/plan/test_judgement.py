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


def in_gov_west() -> dict[str, Any]:
    """One pool, in a region with prices of its own for GPU machines."""
    values = aws_values()
    values["cluster"]["region"] = "us-gov-west-1"
    values["node_pools"], values["models"] = values["node_pools"][:1], values["models"][:1]
    values["price_overrides"] = [
        {"machine_type": "m7i.xlarge", "usd_per_hour": 9, "as_of": "2026-11-20", "source": "contract"}
    ]
    return values


def test_prices_of_another_region_are_named():
    plan = make_plan(parse(in_gov_west(), origin="test"))
    found = warnings(plan, PRICES_OF)
    (warning,) = [line for line in found if "the cluster is in us-gov-west-1" in line]
    # The machines have prices of their own there: 1.2322 $/h, 26 % above us-east-1.
    assert plan.pools[0].usd_per_machine_hour == 1.2322
    assert (
        "another region: control plane and NAT (us-east-1). Those of control plane and NAT are in" in warning
    )


def test_a_region_is_renewed_by_its_name():
    (warning, *_) = warnings(make_plan(parse(in_gov_west(), origin="test")), date(2026, 12, 1))
    assert "g6.2xlarge of 2026-08-24" in warning
    assert "`python -m sizing.hardware.prices --cloud aws --region us-gov-west-1`" in warning


@pytest.mark.parametrize(
    ("version", "today", "said"),
    [
        ("1.34", date(2026, 9, 2), None),
        ("1.34", date(2026, 9, 4), "standard support ends on 2026-12-02, in 89 days"),
        ("1.34", date(2026, 12, 1), "in 1 days; the control plane then costs 0.60 $/h, 438 $/month"),
        ("1.34", date(2026, 12, 3), "cluster.version 1.34 is in extended support since 2026-12-02"),
        ("1.34", date(2027, 12, 3), "support ended on 2027-12-02"),
        ("1.33", date(2026, 12, 1), "Upgrade, one release at a time; the newest is 1.36"),
        ("1.36", date(2026, 12, 1), None),
    ],
)
def test_a_release_warns_before_its_support_ends(version: str, today: date, said: str | None):
    values = aws_values()
    values["cluster"]["version"] = version
    lines = [line for line in warnings(make_plan(parse(values, origin="test")), today) if "upport" in line]
    if said is None:
        assert lines == []
    else:
        (line,) = lines
        assert said in line


@pytest.mark.parametrize(
    ("drain", "order", "said"),
    [
        # 10 s before the drain and 5 s after it: 120 - 15 are left of the notice.
        (105, ["spot", "on-demand"], False),
        (106, ["spot", "on-demand"], True),
        (600, ["on-demand"], False),
    ],
)
def test_a_drain_that_is_longer_than_the_notice_of_a_spot_machine(drain: int, order: list[str], said: bool):
    values = local_values()
    values["node_pools"][0]["capacity"] = order
    values["models"][0]["drain_seconds"] = drain
    lines = [line for line in warnings(plan_of(**values), PRICES_OF) if "spot machine" in line]
    if said:
        (line,) = lines
        assert line.startswith("chat: a spot machine is gone 120 s after its notice")
        assert f"may take {drain + 15} s to leave (drain_seconds {drain})" in line
        assert "Set drain_seconds to 105 or less, or remove spot from capacity of l4" in line
    else:
        assert lines == []


def test_spot_without_a_price_is_planned_at_the_on_demand_price_and_says_so():
    values = local_values()
    values["node_pools"][0]["capacity"] = ["spot", "on-demand"]
    plan = make_plan(parse(values, origin="test"))
    assert plan.pools[0].usd_per_machine_hour == 0.9776
    (warning, *_) = warnings(plan, PRICES_OF)
    assert warning.startswith("g6.2xlarge: no spot price is known")


EXISTING = {
    "provider": "existing",
    "name": "test",
    "kubeconfig": "kubeconfig",
    "context": "test",
    "node_autoscaler": "karpenter",
}


@pytest.mark.parametrize(
    ("cluster", "replicas", "said"),
    [
        ({"version": "1.34"}, 11, "this cluster's version is 1.34"),
        ({"version": "1.34"}, 10, None),
        ({"version": "1.35"}, 11, None),
        ({**EXISTING, "version": "1.36"}, 11, None),
        (EXISTING, 11, "this cluster's version is unknown"),
    ],
)
def test_a_tolerance_that_cannot_be_set_is_named_where_it_swallows_a_replica(
    cluster: dict[str, Any], replicas: int, said: str | None
):
    values = aws_values()
    values["cluster"] = cluster if "provider" in cluster else {**values["cluster"], **cluster}
    if "provider" in cluster:
        values["price_overrides"] = []
    values["models"][0]["replicas"] = {"min": 1, "max": replicas}
    values["node_pools"][0]["max_nodes"] = replicas
    found = [
        line for line in warnings(make_plan(parse(values, origin="test")), PRICES_OF) if "HPA ignores" in line
    ]
    assert (
        (found == [])
        if said is None
        else (len(found) == 1 and found[0].startswith("chat: ") and said in found[0])
    )


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
