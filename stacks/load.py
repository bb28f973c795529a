"""Reads the configuration of an environment: the only code that does.

Two sources, one result. Inside the program it comes from Pulumi, so that `pulumi config set` and the
Automation API work; `make plan` reads the YAML file itself and needs neither Pulumi nor credentials.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from sizing.choices import valid_choices
from sizing.tables import read_data
from stacks.config import Stack
from stacks.problems import Problem, StackError, problems_of
from stacks.validate import check
from stacks.validate.secrets import check_secrets, check_text
from stacks.validate.secrets_provider import check_secrets_provider

STACKS = Path(__file__).resolve().parent

PROJECT: Final = str(read_data(STACKS.parent / "Pulumi.yaml")["name"])
"""Name of the Pulumi project, and so the prefix of its keys in a stack file."""


def parse(values: Mapping[str, object], origin: str) -> Stack:
    """The environment that these sections (`cluster`, `node_pools`, ...) describe.

    `origin` names the source in error messages. Raises StackError with every problem found.
    """
    secrets = list(check_secrets(values))
    if secrets:
        # Alone: other problems show the values that they are about.
        raise StackError(origin, secrets)
    try:
        stack = Stack.model_validate(values)
    except ValidationError as error:
        raise StackError(origin, problems_of(error, Stack)) from None
    problems = check(stack)
    if problems:
        raise StackError(origin, problems)
    return stack


def from_pulumi() -> Stack:
    """The environment of the stack that Pulumi is running.

    Raises pulumi.RunError, which ends a preview with its message and without a stack trace.
    """
    # Imported here: `make plan` runs in an environment that has no Pulumi.
    import pulumi
    from pulumi.runtime.config import CONFIG

    origin = f"Pulumi.{pulumi.get_stack()}.yaml"
    try:
        return parse(_sections(CONFIG.get(), pulumi.get_project(), origin), origin)
    except StackError as error:
        raise pulumi.RunError(str(error)) from None


def _sections(config: Mapping[str, object], project: str, origin: str) -> dict[str, object]:
    """The project's own keys without their prefix. Raises StackError if there are none.

    Pulumi hands over objects and numbers as JSON, and `pulumi config set` writes a whole section as such.
    """
    prefix = f"{project}:"
    sections = {
        key.removeprefix(prefix): _decoded(value) if isinstance(value, str) else value
        for key, value in config.items()
        if key.startswith(prefix)
    }
    if not sections:
        found = sorted({key.partition(":")[0] for key in config if re.fullmatch(r"[\w.-]+:\w+", key)})
        names = " and ".join(f"{name}:" for name in found)
        message = (
            f'must be a mapping whose keys start with "{prefix}", the name in Pulumi.yaml, such as '
            f"{prefix}models: "
            + (f"the keys here start with {names}" if found else "stacks/Pulumi.local.yaml is one to copy")
        )
        raise StackError(origin, [Problem("config", message)])
    return sections


def _decoded(value: str) -> object:
    try:
        return json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        return value


def from_file(name: str, folder: Path = STACKS) -> Stack:
    """The environment of `Pulumi.<name>.yaml` in `folder`. Raises StackError."""
    path = folder / f"Pulumi.{name}.yaml"
    if not path.is_file():
        stacks = [file.name.split(".")[1] for file in folder.glob("Pulumi.*.yaml")]
        raise StackError(path.name, [Problem("", f'no stack "{name}": {valid_choices(name, stacks)}')])
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StackError(path.name, [Problem("", f"not UTF-8 text at byte {error.start}")]) from None
    lines = list(check_text(text))
    try:
        document = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise StackError(path.name, lines or [_not_yaml(error)]) from None
    secrets = list(check_secrets(document)) or lines
    if secrets:
        raise StackError(path.name, secrets)
    if isinstance(document, dict):
        problems = list(check_secrets_provider(document.get("secretsprovider")))
        if problems:
            raise StackError(path.name, problems)
    config = document.get("config") if isinstance(document, dict) else None
    sections = {str(key): value for key, value in config.items()} if isinstance(config, dict) else {}
    return parse(_sections(sections, PROJECT, path.name), origin=path.name)


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key given twice, as Pulumi does; the library would drop the first in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is given twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _not_yaml(error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        place = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
        return Problem(place, f"not YAML: {error.problem}. Check indentation, quotes and brackets there")
    return Problem("", "not YAML: it contains a character that YAML does not allow")
