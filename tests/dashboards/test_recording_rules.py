from __future__ import annotations

from collections.abc import Iterator

import promql_parser
import pytest

from dashboards.recording_rules import pool_rule_group, recording_rules, rule_group
from serving.signals import SIGNALS, WAKE, series, signal
from sizing.choices import UnknownNameError
from tests.dashboards.scaled_models import scaled_model


def selectors(expression: object) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of a parsed expression."""
    match expression:
        case promql_parser.VectorSelector():
            yield expression
        case promql_parser.MatrixSelector():
            yield expression.vector_selector
        case promql_parser.BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            yield from selectors(expression.expr)
        case promql_parser.Call():
            for argument in expression.args:
                yield from selectors(argument)
        case promql_parser.NumberLiteral():
            return
        case _:
            raise AssertionError(f"unknown part of PromQL: {expression!r}")


def names(expression: str) -> set[str]:
    found = set()
    for selector in selectors(promql_parser.parse(expression)):
        assert selector.name is not None
        found.add(selector.name)
    return found


def test_every_signal_of_a_model_is_recorded_once():
    recorded = [rule.record for rule in recording_rules(scaled_model(minimum=0), 15)]
    assert len(recorded) == len(set(recorded))
    assert set(recorded) == {name for name in SIGNALS if name.startswith("inference:")}


def test_only_models_that_may_sleep_are_woken():
    assert WAKE not in [rule.record for rule in recording_rules(scaled_model(minimum=1), 15)]


def test_an_engines_own_series_are_told_from_copies_and_from_other_models():
    for rule in recording_rules(scaled_model(), 15):
        for selector in selectors(promql_parser.parse(rule.expression)):
            matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            if selector.name is not None and selector.name.startswith("vllm:"):
                assert matchers["engine"] == ""
            if selector.name is not None and not selector.name.startswith(("kube_", "envoy_")):
                assert matchers["inference_service"] == "chat"
                assert matchers["namespace"] == "inference"


def test_the_group_says_what_each_series_is_about():
    group = rule_group(scaled_model(name="chat-large"), 5)
    assert group["interval"] == "5s"
    rules = group["rules"]
    assert isinstance(rules, list)
    assert {tuple(sorted(rule["labels"].items())) for rule in rules} == {
        (
            ("inference_engine", "vllm"),
            ("inference_service", "chat-large"),
            ("model_name", "chat-large"),
            ("namespace", "inference"),
        )
    }


def test_machines_of_a_pool_are_counted_by_its_label():
    group = pool_rule_group(["l4"], 15)
    rules = group["rules"]
    assert isinstance(rules, list)
    assert rules[0]["labels"] == {"node_pool": "l4"}
    assert 'kube_node_labels{label_llm_platform_node_pool="l4"}' in rules[0]["expr"]
    assert names(rules[0]["expr"]) == {"kube_node_labels"}


def test_an_unknown_signal_or_engine_is_an_error_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean inference:queue_depth:sum"):
        series("inference:queue_dept:sum", "chat")
    with pytest.raises(UnknownNameError, match="unknown engine 'vlm'"):
        recording_rules(scaled_model(engine="vlm"), 15)


def test_every_signal_says_its_unit_and_meaning():
    for name in SIGNALS:
        assert signal(name).unit
        assert signal(name).meaning
        assert name.count(":") == 2
