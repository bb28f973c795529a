from __future__ import annotations

import copy

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from local.pulumi.provider.values import (
    UNKNOWN,
    Secret,
    UnsupportedValue,
    contains_secret,
    contains_unknown,
    decode,
    encode,
    from_kubernetes,
    reveal,
    to_kubernetes,
)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text()
    | st.just(UNKNOWN)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | inner.map(Secret),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), trees))
def test_properties_survive_the_way_to_the_engine_and_back(properties):
    assert decode(encode(properties)) == properties


def test_whole_numbers_become_integers_as_kubernetes_writes_them():
    struct = Struct()
    struct.update({"replicas": 2, "fraction": 0.5, "huge": 2.0**60})
    decoded = decode(struct)
    assert [type(decoded[name]) for name in ("replicas", "fraction", "huge")] == [int, float, float]


def test_assets_are_refused():
    struct = Struct()
    struct.update({"file": {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17"}})
    with pytest.raises(UnsupportedValue, match="assets"):
        decode(struct)


def test_reveal_unwraps_secrets_at_every_depth():
    assert reveal({"a": Secret([Secret("x"), {"b": Secret({"c": 1})}])}) == {"a": ["x", {"b": {"c": 1}}]}


def test_unknowns_and_secrets_are_found_at_every_depth():
    assert contains_unknown({"a": [Secret({"b": UNKNOWN})]})
    assert not contains_unknown({"a": [Secret("b")]})
    assert contains_secret({"a": [{"b": Secret(1)}]})
    assert not contains_secret({"a": [UNKNOWN]})


def test_an_unknown_is_still_unknown_in_a_copy():
    assert contains_unknown(copy.deepcopy({"a": [UNKNOWN]}))


def test_schema_extensions_are_spelt_with_dashes_in_kubernetes_only():
    schema = {"properties": {"x": {"x_kubernetes_preserve_unknown_fields": True}}}
    dashed = {"properties": {"x": {"x-kubernetes-preserve-unknown-fields": True}}}
    assert to_kubernetes(schema) == dashed
    assert from_kubernetes(dashed) == schema
