"""The scaling board: what it draws, and that Grafana's importer would take it."""

from __future__ import annotations

import json
import re
from typing import Any

import promql_parser
import pytest

from dashboards.boards import scaling
from dashboards.boards.scaling import BoardModel, Line, scaling_board
from dashboards.recording_rules import recording_rules
from serving.signals import POOL_NODES
from sizing.choices import UnknownNameError
from stacks.load import from_file
from stacks.plan import make_plan
from stacks.program.models import board_model

MODELS = (BoardModel("chat", "l4", 1.0, 5), BoardModel("large", "rtx", 2.5, 2))


def board(models: tuple[BoardModel, ...] = MODELS) -> dict[str, Any]:
    return json.loads(scaling_board(models))


def panels(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions(document: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(document) for target in panel["targets"]]


def series(expression: str) -> str:
    """The one series that an expression of this board selects."""
    return re.fullmatch(r"([a-z_0-9:]+)\{.+\}", expression)[1]  # type: ignore[index]


def test_it_is_a_classic_document_for_any_prometheus() -> None:
    document = board()
    assert document["schemaVersion"] == 42
    assert document["uid"] == scaling.UID
    assert [variable["type"] for variable in document["templating"]["list"]] == ["datasource"]
    assert {panel["datasource"]["uid"] for panel in panels(document)} == {"${datasource}"}


def test_each_model_has_a_row_and_the_same_panels_on_one_time_axis() -> None:
    document = board()
    assert [panel["title"] for panel in document["panels"] if panel["type"] == "row"] == ["chat", "large"]
    titles = [panel["title"] for panel in panels(document)]
    assert titles[: len(titles) // 2] == titles[len(titles) // 2 :]
    assert {panel["gridPos"]["w"] for panel in panels(document)} == {24}
    # One cursor over all panels.
    assert document["graphTooltip"] == 1


def test_every_expression_parses_and_is_recorded_by_the_rules_of_the_same_stack() -> None:
    plan = make_plan(from_file("local"))
    document = board(tuple(board_model(model) for model in plan.models))
    recorded = {rule.record for model in plan.models for rule in recording_rules(model.recorded, 15)}
    for expression in expressions(document):
        promql_parser.parse(expression)
        assert series(expression) in recorded | {POOL_NODES, "inference:scaling_wake:replicas"}


def test_the_objective_and_the_limit_are_drawn() -> None:
    drawn = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"]
        for panel in panels(board(MODELS[:1]))
        if "thresholds" in panel["fieldConfig"]["defaults"]
    }
    assert drawn["Time to first token"] == 1.0
    assert drawn["Replicas"] == drawn["Replicas that each trigger wants"] == 5


def test_every_panel_says_what_it_means() -> None:
    for panel in panels(board()):
        assert len(panel["description"]) > 20
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_a_line_on_a_signal_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="did you mean inference:queue_depth:sum"):
        scaling._panel(MODELS[0], "title", "text", "short", [Line("inference:queue_deph:sum", "typo")])


def test_the_same_models_give_the_same_text() -> None:
    assert scaling_board(MODELS) == scaling_board(MODELS)
