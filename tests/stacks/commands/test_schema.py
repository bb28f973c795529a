from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.commands.schema import PATH, VERSION, main, rendered, schema
from stacks.config import Stack
from stacks.load import STACKS


def test_the_committed_schema_is_that_of_the_models():
    assert PATH.read_text(encoding="utf-8") == rendered(), "stale: run `make schema` and read the difference"


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(tmp_path / "schema.json") == 0
    written = json.loads((tmp_path / "schema.json").read_text(encoding="utf-8"))
    assert written["version"] == VERSION
    assert f"schema version {VERSION}" in capsys.readouterr().out


def fields(described: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    sections = [described["properties"]["config"], *described["$defs"].values()]
    return [
        (f"{section.get('title', 'config')}.{name}", field)
        for section in sections
        for name, field in section.get("properties", {}).items()
    ]


def test_every_field_has_a_description():
    described = json.loads(json.dumps(schema()))
    for path, field in fields(described):
        parts = [field, *field.get("anyOf", [])]
        references = [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part]
        texts = [part.get("description") for part in parts]
        texts += [described["$defs"][name].get("description") for name in references]
        assert any(texts), f"{path} says nothing about itself"


ANY_KEY = {"TemplateArguments", "JsonValue"}
"""What a chat template takes is the model's own business."""


def test_every_section_refuses_unknown_keys():
    described = json.loads(json.dumps(schema()))
    for name, section in described["$defs"].items():
        if name in ANY_KEY:
            continue
        assert section["additionalProperties"] is False, name


def test_every_number_has_a_lower_bound_and_every_whole_number_an_upper_one():
    for path, field in fields(json.loads(json.dumps(schema()))):
        for part in [field, *field.get("anyOf", [])]:
            if part.get("type") in ("integer", "number"):
                assert {"minimum", "exclusiveMinimum"} & part.keys(), path
            if part.get("type") == "integer":
                assert {"maximum", "exclusiveMaximum"} & part.keys(), path


def test_every_shipped_stack_file_names_the_schema():
    for path in STACKS.glob("Pulumi.*.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == f"# yaml-language-server: $schema={PATH.name}", path.name


def test_all_sections_are_keys_of_the_project():
    properties = json.loads(json.dumps(schema()))["properties"]["config"]["properties"]
    assert set(properties) == {f"llm-platform:{name}" for name in Stack.model_fields}
