"""Fields that a stack file sets and that change nothing are named in the plan, and only those."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from stacks.config import ineffective
from stacks.load import from_file, parse
from stacks.plan import make_plan
from stacks.plan.tables import show
from stacks.plan.text import lines
from stacks.problems import StackError
from tests.stacks.environments import aws_values, local_values

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


def test_it_is_in_tables_text_and_json():
    values = {**local_values(), "tags": {"team": "a"}}
    plan = make_plan(parse(values, "test"))
    shown = StringIO()
    show(plan, [], Console(file=shown, width=200))
    line = "tags has no effect yet: nothing that is registered carries them"
    assert line in shown.getvalue()
    assert line in lines(plan)
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
