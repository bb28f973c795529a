from __future__ import annotations

import json
from pathlib import Path

import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import set_all_config

from stacks.config import Stack
from stacks.load import PROJECT, STACKS, from_file, from_pulumi, parse
from stacks.plan import make_plan
from stacks.plan.judgement import refusals
from stacks.problems import StackError
from tests.recording import record
from tests.stacks.environments import changed, local_values


def load(sections: dict[str, object]) -> Stack:
    """Runs the first line of the program with this configuration, in the form in which Pulumi hands it over:
    objects as JSON, strings as they are."""
    config = {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in sections.items()
    }
    loaded: list[Stack] = []
    set_all_config({**config, "aws:region": "us-east-1"})
    try:
        recording = record(lambda: loaded.append(from_pulumi()))
    finally:
        set_all_config({})
    assert recording.resources == []
    return loaded[0]


def with_line(line: str) -> str:
    """The local stack file with one more line under `config`."""
    text = (STACKS / "Pulumi.local.yaml").read_text(encoding="utf-8")
    return text.replace("\nconfig:\n", f"\nconfig:\n{line}\n")


def test_both_sources_give_the_same_environment():
    assert load(local_values()) == from_file("local")


def test_in_the_program_a_bad_stack_file_ends_with_its_message_and_no_stack_trace():
    with pytest.raises(pulumi.RunError) as raised:
        load(changed("models.0.node_pool", "l5"))
    assert str(raised.value).startswith(
        "Pulumi.test.yaml: 1 problem; nothing was changed\n  models[0].node_pool"
    )
    # RunError is what the language host prints without a stack trace, and its cause would be printed with it.
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_in_the_program_a_section_that_is_plain_text_is_named():
    with pytest.raises(pulumi.RunError, match=r'gateway: "big" must be a mapping'):
        load({**local_values(), "gateway": "big"})


def test_a_key_that_nobody_declared_is_not_silently_dropped():
    with pytest.raises(pulumi.RunError, match=r"modles: unknown key: did you mean models\?"):
        load({**local_values(), "modles": "[]"})


def test_not_yaml_names_line_and_column(tmp_path: Path):
    (tmp_path / "Pulumi.broken.yaml").write_text("config:\n  a: [1, 2\n  b: 3\n", encoding="utf-8")
    with pytest.raises(StackError) as raised:
        from_file("broken", tmp_path)
    assert str(raised.value).splitlines()[1].startswith("  line 3, column ")
    assert "not YAML" in str(raised.value)


def test_characters_that_yaml_forbids(tmp_path: Path):
    (tmp_path / "Pulumi.broken.yaml").write_bytes(b"config:\n  a: \x07\n")
    with pytest.raises(StackError, match="not YAML"):
        from_file("broken", tmp_path)


def test_text_that_is_not_utf_8(tmp_path: Path):
    (tmp_path / "Pulumi.broken.yaml").write_bytes(b"config: \xff\xfe\n")
    with pytest.raises(StackError, match="not UTF-8"):
        from_file("broken", tmp_path)


def test_a_key_given_twice_is_refused(tmp_path: Path):
    text = with_line("  llm-platform:gateway: {replicas: 2, max_request_mib: 1}")
    (tmp_path / "Pulumi.twice.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StackError, match=r"line \d+, column 3: .*llm-platform:gateway.* twice"):
        from_file("twice", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "config: 3", "other: {}", "just text"])
def test_a_file_without_configuration(tmp_path: Path, text: str):
    (tmp_path / "Pulumi.empty.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StackError, match=r"config: must be a mapping whose keys start with .llm-platform:"):
        from_file("empty", tmp_path)


def test_an_unknown_stack_lists_the_known_ones():
    with pytest.raises(StackError, match=r'no stack "locl": did you mean local\?'):
        from_file("locl")


def test_keys_of_other_projects_are_not_ours(tmp_path: Path):
    text = with_line("  aws:region: us-east-1")
    (tmp_path / "Pulumi.copy.yaml").write_text(text, encoding="utf-8")
    assert from_file("copy", tmp_path) == from_file("local")


def test_sections_that_pulumi_config_set_wrote_as_json_are_read_by_the_plan_too(tmp_path: Path):
    config = {f"{PROJECT}:{key}": json.dumps(value) for key, value in local_values().items()}
    (tmp_path / "Pulumi.written.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    assert from_file("written", tmp_path) == from_file("local")


def test_a_section_of_json_nested_without_end_is_a_stack_error(tmp_path: Path):
    config = {f"{PROJECT}:models": "[" * 100_000}
    (tmp_path / "Pulumi.deep.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    with pytest.raises(StackError, match="models"):
        from_file("deep", tmp_path)


def test_the_keys_carry_the_name_of_the_project_that_runs():
    # Mocks and `make plan` run under the name of Pulumi.yaml; a preview, under what the engine says.
    assert yaml.safe_load((STACKS.parent / "Pulumi.yaml").read_text(encoding="utf-8"))["name"] == PROJECT
    values = {f"our-models:{key}": json.dumps(value) for key, value in local_values().items()}
    loaded: list[Stack] = []
    set_all_config(values)
    try:
        with pytest.raises(
            pulumi.RunError, match=f'config: must be a mapping whose keys start with "{PROJECT}:"'
        ):
            record(lambda: loaded.append(from_pulumi()))
        record(lambda: loaded.append(from_pulumi()), project="our-models")
    finally:
        set_all_config({})
    assert loaded == [from_file("local")]


def test_what_pulumi_new_writes_is_an_environment_that_can_be_planned():
    asked = yaml.safe_load((STACKS.parent / "Pulumi.yaml").read_text(encoding="utf-8"))["template"]["config"]
    assert set(asked) == {name for name, field in Stack.model_fields.items() if field.is_required()}
    assert all("\n" not in value["default"].rstrip() and value["description"] for value in asked.values())
    stack = parse({key: json.loads(value["default"]) for key, value in asked.items()}, origin="template")
    assert refusals(make_plan(stack)) == []


@given(text=st.text(max_size=200))
def test_whatever_a_file_contains_the_answer_is_a_stack_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
):
    folder = tmp_path_factory.mktemp("stacks", numbered=True)
    (folder / "Pulumi.any.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(StackError):
        from_file("any", folder)


def test_parsing_is_deterministic():
    assert parse(local_values(), origin="a") == parse(local_values(), origin="b")
