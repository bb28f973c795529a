from __future__ import annotations

import copy

import pytest

from local.pulumi.provider.inputs import (
    UnsupportedResource,
    normalize,
    of_live_object,
    refuse_unsupported,
    set_namespace,
    without_namespace,
)
from local.pulumi.provider.values import UNKNOWN


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("kubernetes:helm.sh/v3:Release", "not supported"),
        ("kubernetes:yaml/v2:ConfigGroup", "not supported"),
        ("kubernetes:kustomize/v2:Directory", "not supported"),
        ("kubernetes:core/v1:ConfigMapList", "each object with its own type"),
        ("kubernetes:apps/v1:DeploymentPatch", "as kubernetes:apps/v1:Deployment,"),
    ],
)
def test_what_is_no_single_object_is_refused_with_an_alternative(token, said):
    with pytest.raises(UnsupportedResource, match=said):
        refuse_unsupported(token)


@pytest.mark.parametrize("token", ["kubernetes:core/v1:ConfigMap", "kubernetes:karpenter.sh/v1:NodePool"])
def test_single_objects_are_not_refused(token):
    refuse_unsupported(token)


def test_string_data_becomes_data_and_wins():
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "eA==", "b": "eQ=="},
        "stringData": {"a": "z"},
    }
    given = copy.deepcopy(secret)
    assert normalize(secret)["data"] == {"a": "eg==", "b": "eQ=="}
    assert "stringData" not in normalize(secret)
    assert secret == given


def test_string_data_that_is_not_known_yet_stays():
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": UNKNOWN}}
    assert normalize(secret) == secret


def test_metadata_that_only_the_server_sets_goes():
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "1", "resourceVersion": "2"}}
    assert normalize(obj)["metadata"] == {"name": "a"}


def test_nulls_go_from_built_in_kinds_and_stay_in_custom_ones():
    spec = {"a": None, "b": [{"c": None}]}
    assert normalize({"apiVersion": "apps/v1", "kind": "X", "spec": spec})["spec"] == {"b": [{}]}
    assert normalize({"apiVersion": "karpenter.sh/v1", "kind": "X", "spec": spec})["spec"] == spec


def test_a_definition_loses_what_the_server_drops():
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {"preserveUnknownFields": False, "group": "a.b"},
        "status": {},
    }
    assert normalize(definition)["spec"] == {"group": "a.b"}
    assert "status" not in normalize(definition)


def test_the_namespace_is_set_only_where_there_is_none():
    obj: dict = {}
    set_namespace(obj, "team")
    set_namespace(obj, "other")
    assert obj == {"metadata": {"namespace": "team"}}
    assert without_namespace({"metadata": {"name": "a", "namespace": "team"}}) == {"metadata": {"name": "a"}}


def test_inputs_of_a_live_object_are_what_somebody_could_have_written():
    live = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "a",
            "generation": 3,
            "managedFields": [],
            "annotations": {"deployment.kubernetes.io/revision": "1"},
        },
        "spec": {"replicas": 1},
        "status": {"replicas": 1},
    }
    assert of_live_object(live) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"replicas": 1},
    }
