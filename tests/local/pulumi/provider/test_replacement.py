from __future__ import annotations

import pytest

from local.pulumi.provider.api import ApiError, Cause
from local.pulumi.provider.differences import differences, format_path
from local.pulumi.provider.replacement import forcing, immutable_fields, must_delete_first, refused_fields
from local.pulumi.provider.settings import from_variables

DEFAULTS = from_variables({}, {})
MUTABLE = from_variables(
    {"kubernetes:config:enableConfigMapMutable": "true", "kubernetes:config:enableSecretMutable": "true"}, {}
)


def replacing(new, old, settings=DEFAULTS):
    found = differences(new, old, old)
    return [format_path(entry.path) for entry in forcing(found, new, old, immutable_fields(new, settings))]


def obj(api_version, kind, **fields):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": "n"}, **fields}


@pytest.mark.parametrize(
    ("api_version", "kind", "old", "new", "paths"),
    [
        ("apps/v1", "Deployment", {"selector": {"a": "1"}}, {"selector": {"a": "2"}}, ["spec.selector.a"]),
        ("apps/v1", "Deployment", {"replicas": 1}, {"replicas": 2}, []),
        ("batch/v1", "Job", {"template": {"x": 1}}, {"template": {"x": 2}}, ["spec.template.x"]),
        ("batch/v1", "Job", {"ttlSecondsAfterFinished": 1}, {"ttlSecondsAfterFinished": 2}, []),
        ("v1", "Service", {"clusterIP": "None"}, {}, ["spec.clusterIP"]),
        ("v1", "Pod", {"containers": ["1"]}, {"containers": ["2"]}, ["spec.containers[0]"]),
        ("v1", "PersistentVolumeClaim", {"volumeName": "a"}, {"volumeName": "b"}, ["spec.volumeName"]),
        ("karpenter.sh/v1", "NodePool", {"template": 1}, {"template": 2}, []),
    ],
)
def test_a_change_below_an_immutable_field_replaces(api_version, kind, old, new, paths):
    assert replacing(obj(api_version, kind, spec=new), obj(api_version, kind, spec=old)) == paths


@pytest.mark.parametrize("field", ["name", "namespace"])
def test_another_identity_replaces_any_object(field):
    old = obj("karpenter.sh/v1", "NodePool")
    new = {**old, "metadata": {**old["metadata"], field: "other"}}
    assert replacing(new, old) == [f"metadata.{field}"]


def test_removing_what_holds_an_immutable_field_replaces():
    old = obj("v1", "Service", spec={"clusterIP": "None"})
    assert replacing({**obj("v1", "Service")}, old) == ["spec"]


@pytest.mark.parametrize(
    ("kind", "field"), [("ConfigMap", "data"), ("ConfigMap", "binaryData"), ("Secret", "data")]
)
def test_data_replaces_unless_the_provider_may_change_it(kind, field):
    old, new = obj("v1", kind, **{field: {"a": "1"}}), obj("v1", kind, **{field: {"a": "2"}})
    assert replacing(new, old) == [f"{field}.a"]
    assert replacing(new, old, MUTABLE) == []
    fixed = {"immutable": True}
    assert replacing({**new, **fixed}, {**old, **fixed}, MUTABLE) == [f"{field}.a"]


def test_a_secrets_type_replaces_in_any_case():
    old, new = obj("v1", "Secret", type="a"), obj("v1", "Secret", type="b")
    assert replacing(new, old, MUTABLE) == ["type"]


def refusal(code, *causes, message="x"):
    return ApiError(code, "Invalid", message, tuple(Cause(*cause) for cause in causes))


def test_the_servers_own_word_for_an_immutable_field_counts():
    immutable = ("spec.scope", 'Invalid value: "Cluster": field is immutable')
    other = ("spec.x", "Required value")
    assert refused_fields(refusal(422, immutable, other)) == [("spec", "scope")]
    assert refused_fields(refusal(422, other)) == []
    assert refused_fields(refusal(409, immutable)) == []
    assert refused_fields(refusal(422, message="updates to statefulset spec for fields other than x")) == [
        ("spec",)
    ]


def test_only_a_replacement_of_the_same_name_deletes_first():
    live = obj("v1", "ConfigMap")
    assert must_delete_first(obj("v1", "ConfigMap"), live)
    generated = obj("v1", "ConfigMap")
    generated["metadata"]["annotations"] = {"pulumi.com/autonamed": "true"}
    assert not must_delete_first(generated, live)
    moved = obj("v1", "ConfigMap")
    moved["metadata"]["namespace"] = "other"
    assert not must_delete_first(moved, live)
