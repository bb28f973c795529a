from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.pulumi.provider.differences import (
    Change,
    contains,
    differences,
    format_path,
    lookup,
    parse_path,
    prune,
)
from local.pulumi.provider.values import UNKNOWN


def changes(new, old, live):
    return {format_path(found.path): found.change for found in differences(new, old, live)}


def test_only_fields_of_the_program_are_compared():
    live = {"spec": {"replicas": 1, "strategy": {"type": "RollingUpdate"}}, "status": {"replicas": 0}}
    assert changes({"spec": {"replicas": 1}}, {"spec": {"replicas": 1}}, live) == {}
    assert changes({"spec": {"replicas": 2}}, {"spec": {"replicas": 1}}, live) == {
        "spec.replicas": Change.UPDATE
    }


def test_a_field_that_the_program_dropped_is_deleted_if_it_is_still_there():
    assert changes({}, {"a": 1}, {"a": 1}) == {"a": Change.DELETE}
    assert changes({}, {"a": 1}, {}) == {}
    assert changes({}, {}, {"a": 1}) == {}


def test_a_new_field_is_added_or_taken_over():
    assert changes({"a": 1}, {}, {}) == {"a": Change.ADD}
    assert changes({"a": 1}, {}, {"a": 2}) == {"a": Change.UPDATE}
    assert changes({"a": 1}, {}, {"a": 1}) == {}


def test_drift_is_a_difference_although_the_program_is_unchanged():
    assert changes({"a": 1}, {"a": 1}, {"a": 5}) == {"a": Change.UPDATE}
    assert changes({"a": 1}, {"a": 1}, {}) == {"a": Change.ADD}


@pytest.mark.parametrize("zero", [{}, [], "", 0, False, None])
def test_a_zero_value_that_the_server_leaves_out_is_no_difference(zero):
    assert changes({"a": zero}, {"a": zero}, {}) == {}
    assert changes({"a": zero}, {}, {}) == {"a": Change.ADD}


def test_lists_are_compared_by_position_without_what_others_appended():
    live = [{"name": "a", "image": "1"}, {"name": "injected"}]
    assert changes([{"name": "a", "image": "1"}], [{"name": "a", "image": "1"}], live) == {}
    assert changes([{"name": "a"}], [{"name": "a", "image": "1"}], live) == {"[0].image": Change.DELETE}
    assert changes(["x", "y"], ["x"], ["x"]) == {"[1]": Change.ADD}
    assert changes(["x"], ["x", "y"], ["x", "y"]) == {"[1]": Change.DELETE}


def test_an_unknown_value_may_always_change():
    assert changes({"a": UNKNOWN}, {"a": 1}, {"a": 1}) == {"a": Change.UPDATE}


def test_true_is_not_one():
    assert changes({"a": True}, {"a": 1}, {"a": 1}) == {"a": Change.UPDATE}


objects = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(objects)
def test_what_was_applied_and_is_unchanged_has_no_differences(obj):
    assert differences(obj, obj, copy.deepcopy(obj)) == []


@given(objects, objects)
def test_pruning_keeps_no_field_that_the_inputs_lack(live, inputs):
    pruned = prune(live, inputs)
    assert prune(pruned, inputs) == pruned
    if isinstance(live, dict) and isinstance(inputs, dict):
        assert set(pruned) <= set(inputs)


def test_pruning_keeps_live_values():
    live = {"spec": {"replicas": 5, "strategy": "x"}, "status": {}}
    assert prune(live, {"spec": {"replicas": 1, "gone": 1}}) == {"spec": {"replicas": 5}}


steps = st.text(min_size=1, max_size=5, alphabet='ab."[]').filter(lambda text: not text.endswith("\\"))


@given(st.lists(steps | st.integers(0, 20), min_size=1, max_size=5))
def test_paths_survive_being_written(path):
    assert parse_path(format_path(tuple(path))) == tuple(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec.template.spec.containers[0].image", ("spec", "template", "spec", "containers", 0, "image")),
        ('metadata.labels["a.b/c"]', ("metadata", "labels", "a.b/c")),
        ("spec.containers[*].image", ("spec", "containers", "*", "image")),
        ("", ()),
    ],
)
def test_paths_are_read_as_pulumi_writes_them(text, path):
    assert parse_path(text) == path


def test_a_path_contains_what_lies_below_it():
    assert contains(("spec",), ("spec", "replicas"))
    assert contains(("a", "*", "b"), ("a", 3, "b", "c"))
    assert not contains(("spec", "replicas"), ("spec",))


def test_lookup_tells_null_from_absent():
    assert lookup({"a": [{"b": None}]}, ("a", 0, "b")) == (None,)
    assert lookup({"a": [{}]}, ("a", 0, "b")) == ()
    assert lookup({"a": []}, ("a", 0)) == ()
