from __future__ import annotations

import pytest

from local.pulumi.provider.api import ApiError, Cause
from local.pulumi.provider.ownership import contests_only_edits, keep_ignored, minimal, take_over


def entry(manager, operation, fields, **more):
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def live(*entries, **fields):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "n", "managedFields": list(entries)},
        **fields,
    }


REPLICAS = {"f:spec": {"f:replicas": {}}}
LABELS = {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}


def test_the_first_update_takes_over_what_the_creation_set():
    controller = entry("kube-controller-manager", "Update", {"f:status": {}}, subresource="status")
    taken = take_over(live(entry("pulumi-kubernetes", "Update", REPLICAS, time="2026"), controller), "ours")
    assert taken == [controller, entry("ours", "Apply", REPLICAS)]


def test_what_was_taken_over_joins_what_is_owned():
    own = entry("ours", "Apply", LABELS, time="2026")
    taken = take_over(live(own, entry("pulumi-kubernetes", "Update", REPLICAS)), "ours")
    assert taken == [entry("ours", "Apply", {**LABELS, **REPLICAS}, time="2026")]
    assert own["fieldsV1"] == LABELS


@pytest.mark.parametrize(
    "other",
    [
        entry("ours", "Apply", REPLICAS),
        entry("kube-controller-manager", "Update", REPLICAS),
        entry("kubectl", "Update", REPLICAS, subresource="scale"),
        entry("pulumi-kubernetes-other", "Apply", REPLICAS),
        {**entry("pulumi-kubernetes", "Update", REPLICAS), "apiVersion": "apps/v1beta1"},
    ],
)
def test_nothing_else_is_taken_over(other):
    assert take_over(live(other), "ours") is None


def conflict(*messages):
    return ApiError(409, "Conflict", "x", tuple(Cause(".spec.replicas", message) for message in messages))


def test_edits_by_hand_are_undone_and_scaling_is_not():
    edit = 'conflict with "kubectl-edit" using apps/v1'
    assert contests_only_edits(conflict(edit, 'conflict with "kubectl-patch" using apps/v1'))
    assert not contests_only_edits(conflict(edit, 'conflict with "keda" using apps/v1'))
    assert not contests_only_edits(conflict('conflict with "kubectl" with subresource "scale" using apps/v1'))
    assert not contests_only_edits(conflict())
    assert not contests_only_edits(ApiError(422, "Invalid", "x", ()))


INPUTS = {"spec": {"replicas": 1, "paused": False}}


def test_an_ignored_field_keeps_its_live_value_if_it_is_ours():
    before = live(entry("ours", "Apply", REPLICAS), spec={"replicas": 5})
    assert keep_ignored(INPUTS, before, ["spec.replicas"], "ours")["spec"] == {"replicas": 5, "paused": False}
    assert INPUTS["spec"]["replicas"] == 1


def test_an_ignored_field_that_another_owns_is_not_sent():
    before = live(entry("kube-controller-manager", "Update", REPLICAS), spec={"replicas": 5})
    assert keep_ignored(INPUTS, before, ["spec.replicas"], "ours")["spec"] == {"paused": False}


def test_an_ignored_field_that_nobody_has_stays_as_it_is():
    assert keep_ignored(INPUTS, live(spec={}), ["spec.replicas", "spec.gone.deeper"], "ours") == INPUTS


def test_a_minimal_object_names_and_sets_nothing():
    assert minimal(live(spec={"replicas": 1})) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "n"},
    }
