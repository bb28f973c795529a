"""everything.yaml says whatever a stack file can say, and what it renders to follows the rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from policies.process import Subject, running_pack
from stacks import config
from stacks.config import Section
from stacks.load import PROJECT
from tests.stacks.program.renderings import everything, everything_stack

OTHER_CLUSTERS = {config.LocalCluster, config.AwsCluster, config.GcpCluster, config.SystemNodes}

CANNOT_BE_SAID = {
    # Karpenter starts machines for pods only.
    ("NodePool", "min_nodes"),
    # inference_pool cannot be built yet.
    ("Gateway", "backend"),
}

OTHER_CHOICES = {
    # One stack has one of each.
    ("ExistingCluster", "node_autoscaler", "cluster-autoscaler"),
    ("Budget", "if_maximum_exceeds", "refuse"),
    # Cannot be built yet.
    ("Gateway", "backend", "inference_pool"),
    # Golden files have models that think: vision, whose file does not say so.
    ("Reasoning", "default", "on"),
}


def section_classes(base: type[Section] = Section) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from section_classes(section)


def sections(value: object) -> Iterator[Section]:
    """Each section within this value."""
    match value:
        case Section():
            yield value
            yield from sections([getattr(value, name) for name in type(value).model_fields])
        case list() | tuple():
            for item in value:
                yield from sections(item)
        case dict():
            yield from sections(list(value.values()))
        case _:
            pass


def choices(annotation: Any) -> Iterator[object]:
    """Every value of the Literals within this annotation."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
        return
    for argument in get_args(annotation):
        yield from choices(argument)


def described() -> list[type[Section]]:
    ours = [section for section in section_classes() if section.__module__.startswith("stacks.config")]
    assert len(ours) > 20
    return [section for section in ours if section not in OTHER_CLUSTERS]


def owner(section: type[Section], field: str) -> str:
    """The class that has the field: a limit for a team is a rate, and so is the common limit."""
    return next(
        base.__name__ for base in reversed(section.__mro__) if field in getattr(base, "model_fields", {})
    )


def test_every_field_is_set_to_something_else_than_its_default(tmp_path: Path):
    said = {
        (owner(type(section), name), name)
        for section in sections(everything_stack(tmp_path))
        for name, field in type(section).model_fields.items()
        if getattr(section, name) != field.get_default(call_default_factory=True)
    }
    every = {(owner(section, name), name) for section in described() for name in section.model_fields}
    assert every - said == CANNOT_BE_SAID


def test_every_choice_is_made(tmp_path: Path):
    made = {
        (owner(type(section), name), name, choice)
        for section in sections(everything_stack(tmp_path))
        for name in type(section).model_fields
        for choice in _values(getattr(section, name))
    }
    every = {
        (owner(section, name), name, choice)
        for section in described()
        for name, field in section.model_fields.items()
        for choice in choices(field.annotation)
    }
    assert every - made == OTHER_CHOICES


def _values(value: object) -> Iterator[object]:
    if isinstance(value, tuple):
        yield from value
    elif isinstance(value, str) or value is None:
        yield value


def test_the_policy_pack_has_nothing_against_it(tmp_path: Path):
    stack = everything_stack(tmp_path)
    subjects = [
        Subject(item.type, item.name, item.urn, item.parent, item.inputs) for item in everything(tmp_path)
    ]
    values = {f"{PROJECT}:{key}": json.dumps(value) for key, value in stack.model_dump(mode="json").items()}
    with running_pack(values, stack="test", project=PROJECT) as pack:
        assert [finding for finding in pack.judge(subjects) if finding.level == "mandatory"] == []
