from __future__ import annotations

import re

import pytest

from local.pulumi.provider.naming import (
    NamingError,
    Proposal,
    adopt_name,
    field_manager,
    generate_name,
    identifier,
    is_autonamed,
    parse_identifier,
)
from local.pulumi.provider.values import UNKNOWN


@pytest.mark.parametrize(("text", "parts"), [("name", (None, "name")), ("space/name", ("space", "name"))])
def test_identifiers(text, parts):
    namespace, name = parts
    assert parse_identifier(text) == parts
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    assert identifier({"metadata": metadata}) == text


@pytest.mark.parametrize("text", ["a/b/c", "/b", "a/", ""])
def test_other_identifiers_are_refused(text):
    with pytest.raises(NamingError, match="namespace/name"):
        parse_identifier(text)


def test_a_generated_name_is_marked_and_follows_from_the_seed():
    first, again, other = {}, {}, {}
    generate_name(first, "web", b"seed", None)
    generate_name(again, "web", b"seed", None)
    generate_name(other, "web", b"another", None)
    assert re.fullmatch(r"web-[0-9a-f]{8}", first["metadata"]["name"])
    assert is_autonamed(first)
    assert first == again != other


@pytest.mark.parametrize("name", ["mine", UNKNOWN])
def test_a_name_of_the_program_stays(name):
    obj = {"metadata": {"name": name}}
    generate_name(obj, "web", b"seed", None)
    assert obj == {"metadata": {"name": name}}


@pytest.mark.parametrize("mode", ["propose", "enforce"])
def test_the_engine_may_name_it(mode):
    obj: dict = {"metadata": {}}
    generate_name(obj, "web", b"seed", Proposal("web-prod", mode))
    assert obj["metadata"]["name"] == "web-prod"


def test_without_a_name_where_none_may_be_generated():
    with pytest.raises(NamingError, match="autonaming is disabled"):
        generate_name({}, "web", b"", Proposal("", "disable"))
    with pytest.raises(NamingError, match="generateName"):
        generate_name({"metadata": {"generateName": "web-"}}, "web", b"", None)


def test_an_update_keeps_the_generated_name_but_not_one_that_the_program_once_gave():
    generated: dict = {}
    generate_name(generated, "web", b"seed", None)
    new: dict = {"metadata": {"labels": {"a": "b"}}}
    adopt_name(new, generated)
    assert new["metadata"]["name"] == generated["metadata"]["name"]
    assert is_autonamed(new)
    unnamed: dict = {}
    adopt_name(unnamed, {"metadata": {"name": "given"}})
    assert unnamed == {}


def test_the_field_manager_is_the_annotated_else_the_recorded_else_a_new_one():
    annotated = {"metadata": {"annotations": {"pulumi.com/patchFieldManager": "team"}}}
    assert field_manager(annotated, "recorded") == "team"
    assert field_manager({}, "recorded") == "recorded"
    assert field_manager({}, None) != field_manager({}, None)
