from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY, deserialize_properties
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

from policies import received, secret_marks
from policies.known_values import known_values
from policies.objects import Resource
from policies.received import Received

KIND = "kubernetes:core/v1:ConfigMap"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
        st.just(UNKNOWN_STRING_VALUE),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(texts, inner, max_size=4),
        inner.map(lambda value: {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}),
    ),
    max_leaves=12,
)


def message(properties: dict[str, Any]) -> analyzer_pb2.AnalyzeRequest:
    request = analyzer_pb2.AnalyzeRequest(type=KIND, name="a", urn="urn:a")
    request.properties.update(properties)
    return request


def taken(properties: dict[str, Any]) -> Resource:
    received._take(message(properties))
    return received.received(Received(KIND, {}, "urn:a", "a"))


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_behind():
    yield
    received._unpacked.clear()
    secret_marks.remember("urn:a", {})


@given(properties=st.dictionaries(texts, values, max_size=4))
def test_rules_see_what_the_sdk_would_show_them(properties: dict[str, Any]):
    packed = Struct()
    packed.update(properties)
    shown = known_values(unknown_checking_proxy(deserialize_properties(MessageToDict(packed))))
    found = known_values(taken(properties).props)
    assert found.values == shown.values
    # Protobuf's maps keep no order.
    assert sorted(error.message for error in found.unknown) == sorted(
        error.message for error in shown.unknown
    )


def test_a_resource_is_unpacked_once_until_its_properties_change(monkeypatch: pytest.MonkeyPatch):
    unpacked: list[object] = []

    def counted(values: dict[str, Any]) -> dict[str, Any]:
        unpacked.append(values)
        return deserialize_properties(values)

    monkeypatch.setattr(received, "deserialize_properties", counted)
    for value in ("1", "1", "2"):
        assert taken({"data": {"a": value}}).props["data"]["a"] == value
    assert unpacked == [{"data": {"a": "1"}}, {"data": {"a": "2"}}]


def test_the_sdk_gets_no_properties_to_unpack():
    request = message({"data": {"a": "1"}})
    received._take(request)
    assert not request.properties.fields


def test_a_resource_that_was_not_received_stays_as_it_is():
    resource = Received(KIND, {"data": {}}, "urn:other", "other")
    assert received.received(resource) is resource


def test_marks_and_unknown_values_are_kept():
    found = taken(
        {
            "stringData": {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": {"a": "1"}},
            "address": UNKNOWN_STRING_VALUE,
        }
    )
    assert found.props["stringData"]["a"] == "1"
    assert secret_marks.is_marked("urn:a", ("stringData", "a"))
    with pytest.raises(UnknownValueError):
        found.props["address"]
