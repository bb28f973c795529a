"""Fields that a stack file sets and that change nothing are named in the plan, and only those."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from stacks.config import ineffective
from stacks.load import from_file, parse
from stacks.plan import Plan, make_plan
from stacks.plan.tables import show
from stacks.plan.text import outline
from stacks.problems import StackError
from tests.stacks.environments import aws_values, local_values, merged

OBSERVED = {
    "metrics_retention_days": 10,
    "slo_window_days": 20,
    "burn_rate_alerts": [{"factor": 2, "long_minutes": 60, "short_minutes": 5, "severity": "page"}],
}
ITL = ["models[0].slo.itl.objective", "models[1].slo.itl.objective"]


def paths(values: dict[str, Any]) -> list[str]:
    return [field.path for field in ineffective(parse(values, "test"))]


def test_what_the_local_stack_sets_without_effect():
    values = {**local_values(), "observability": OBSERVED, "tags": {"team": "a"}}
    assert paths(values) == [*ITL, *(f"observability.{name}" for name in OBSERVED), "tags"]


def test_a_default_that_is_left_out_is_not_named():
    assert paths(local_values()) == ITL


def test_what_a_cluster_on_aws_and_gcp_sets_without_effect():
    assert paths(aws_values()) == ["cluster.api_allowed_cidrs", *ITL]
    found = [field.path for field in ineffective(from_file("prod-gcp"))]
    assert found[:3] == ["cluster.project", "cluster.release_channel", "cluster.api_allowed_cidrs"]


@pytest.mark.parametrize(("backend", "named"), [("envoy", False), ("inference_pool", True)])
def test_a_choice_that_acts_is_not_named(backend: str, named: bool):
    values = aws_values()
    values["gateway"]["backend"] = backend
    assert ("gateway.backend" in paths(values)) == named


def test_it_is_in_tables_outline_and_json():
    values = {**local_values(), "tags": {"team": "a"}}
    plan = make_plan(parse(values, "test"))
    shown = StringIO()
    show(plan, [], Console(file=shown, width=200))
    line = "tags has no effect yet: nothing that is registered carries them"
    assert line in shown.getvalue()
    assert f"tags: {line.partition(': ')[2]}" in str(outline(plan)["without_effect"])
    exported = json.loads(json.dumps(plan.exported()))["no_effect_yet"]
    assert {"path": "tags", "reason": "nothing that is registered carries them", "when": "yet"} in exported


def test_a_disk_on_the_local_cluster_is_refused():
    values = local_values()
    values["node_pools"][0]["disk_gib"] = 200
    with pytest.raises(StackError, match=r"node_pools\[0\].disk_gib: 200 is not possible"):
        parse(values, "test")


def changes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The same stack with another value in each field that is declared without effect on AWS."""
    itl = [
        {**model, "slo": {**model["slo"], "itl": {**model["slo"]["itl"], "objective": 0.97}}}
        for model in values["models"]
    ]
    return [
        {**values, "tags": {"team": "b"}},
        {**values, "cluster": {**values["cluster"], "api_allowed_cidrs": []}},
        {**values, "models": itl},
        *({**values, "observability": {name: value}} for name, value in OBSERVED.items() if name[0] != "m"),
        {**values, "observability": OBSERVED},
    ]


def test_a_declared_field_changes_no_figure():
    values = aws_values()
    planned = [make_plan(parse(other, "test")).exported() for other in [values, *changes(values)]]
    for plan in planned:
        del plan["no_effect_yet"]
    assert all(plan == planned[0] for plan in planned)


OVERRIDE = {"machine_type": "g6.2xlarge", "usd_per_hour": 1, "as_of": "2026-11-24", "source": "test"}

COMBINATIONS: list[tuple[str, dict[str, object], dict[str, object], object]] = [
    ("models[0].sleep_after_seconds", {"models.0.replicas.min": 1}, {"models.0.replicas.min": 0}, 900),
    ("models[0].warm_replicas", {"models.0.replicas.min": 5}, {}, 1),
    ("models[0].scale_down_stabilization_seconds", {"models.0.replicas.min": 5}, {}, 90),
    ("models[0].when_asleep", {"models.0.replicas.min": 1}, {"models.0.replicas.min": 0}, "wake"),
    ("models[0].revision", {"models.0.weights": "s3://bucket/folder"}, {}, "9" * 40),
    ("node_pools[0].warm_capacity", {}, {"node_pools.0.warm_nodes": 1}, "capacity_buffer"),
    ("cluster.zones", {"cluster.nat_gateways": "one"}, {}, 2),
    (
        "price_overrides[0].machine_type",
        {"price_overrides": [{**OVERRIDE, "machine_type": "p5.48xlarge", "usd_per_hour": 90}]},
        {"price_overrides": [OVERRIDE]},
        "p4d.24xlarge",
    ),
    (
        "price_overrides[0].spot_usd_per_hour",
        {"price_overrides": [{**OVERRIDE, "spot_usd_per_hour": 0.5}]},
        {"node_pools.0.capacity": ["spot", "on-demand"]},
        0.4,
    ),
]
"""A field, what leaves it without effect, what gives it its effect back, and another value of it."""


@pytest.mark.parametrize(("path", "given", "acting", "value"), COMBINATIONS, ids=lambda case: str(case)[:40])
def test_a_field_that_another_one_leaves_without_effect_is_named(
    path: str, given: dict[str, object], acting: dict[str, object], value: object
):
    way = path.replace("[", ".").replace("]", "")
    named = path.removesuffix(".machine_type")
    values = merged(aws_values(), {way: value, **given} if "price" not in path else given)
    plan = make_plan(parse(values, "test"))
    found = {field.path: str(field) for field in plan.no_effect_yet}
    assert found[named].startswith(f"{named} has no effect here: ")
    other = make_plan(parse(merged(values, {way: value}), "test"))
    assert _without_list(other) == _without_list(plan)
    acts = merged(aws_values(), {way: value} if "price" not in path else given)
    assert named not in paths(merged(acts, acting))


def test_a_field_that_is_left_out_is_not_named_in_any_combination():
    values = aws_values()
    del values["models"][0]["scale_down_stabilization_seconds"]
    assert not [path for path in paths(merged(values, {"models.0.replicas.min": 5})) if "scale_down" in path]


def _without_list(plan: Plan) -> dict[str, object]:
    return {key: part for key, part in plan.exported().items() if key != "no_effect_yet"}
