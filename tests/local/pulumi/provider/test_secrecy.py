from __future__ import annotations

from local.pulumi.provider.secrecy import mark_secrets
from local.pulumi.provider.values import Secret


def test_what_was_secret_in_the_inputs_is_secret_in_the_outputs_and_nothing_else():
    outputs = {"kind": "ConfigMap", "data": {"open": "1", "hidden": "2", "added": "3"}}
    inputs = {"data": {"open": "1", "hidden": Secret("2"), "gone": Secret("4")}}
    assert mark_secrets(outputs, inputs)["data"] == {"open": "1", "hidden": Secret("2"), "added": "3"}
    assert outputs["data"]["hidden"] == "2"


def test_one_secret_element_hides_the_whole_list():
    outputs = {"spec": {"env": [{"name": "A", "value": "x"}, {"name": "B", "value": "y"}]}}
    inputs = {"spec": {"env": [{"name": "A", "value": Secret("x")}, {"name": "B", "value": "y"}]}}
    assert mark_secrets(outputs, inputs) == {"spec": {"env": Secret(outputs["spec"]["env"])}}


def test_a_secret_parent_hides_its_children():
    assert mark_secrets({"spec": {"a": 1}}, {"spec": Secret({"a": 1})}) == {"spec": Secret({"a": 1})}


def test_the_data_of_a_secret_is_secret_even_if_the_program_did_not_say_so():
    outputs = {"kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "y"}, "type": "Opaque"}
    marked = mark_secrets(outputs, {"data": {"a": "eA=="}})
    assert marked["data"] == Secret({"a": "eA=="})
    assert marked["stringData"] == Secret({"b": "y"})
    assert marked["type"] == "Opaque"
    assert mark_secrets(marked, {}) == marked
