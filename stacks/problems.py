"""What is wrong with a stack file, said so that a tired person can put it right."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sizing.choices import valid_choices

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, and what is wrong, allowed and to be done, in one line."""

    path: str
    message: str

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        # Values and names of the file may hold line breaks; a problem is one line all the same.
        return text.replace("\r", "\\r").replace("\n", "\\n")


class StackError(ValueError):
    """A stack file that cannot be used; the message names every problem, one line each."""

    def __init__(self, origin: str, problems: Iterable[Problem]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        lines = [f"  {problem}" for problem in self.problems]
        count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
        super().__init__("\n".join([f"{origin}: {count}; nothing was changed", *lines]))


RULES = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "is not allowed",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "date_type": "must be a day such as 2026-11-24",
}
"""Types of pydantic's errors in the words of a stack file. A type that is not here keeps pydantic's words."""


def path_of(location: Location) -> str:
    """The location in a stack file as people write it: `models[0].replicas.min`."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def problems_of(error: ValidationError, root: type[BaseModel]) -> list[Problem]:
    """Every error of pydantic as a Problem, with the valid keys and the field's description filled in."""
    found = error.errors(include_url=False)
    return [_problem(details, root) for details in found if not _follows_from_another(details, found)]


def _follows_from_another(details: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """A list whose only entry is wrong is also reported as too short: that says nothing new."""
    place = details["loc"]
    return details["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found
    )


def _problem(details: ErrorDetails, root: type[BaseModel]) -> Problem:
    place = _place(root, details["loc"])
    path = path_of(place.location)
    match details["type"]:
        case "extra_forbidden":
            return Problem(path, f"unknown key: {valid_choices(str(place.location[-1]), place.keys)}")
        case "missing":
            return Problem(path, f"required key is missing{place.described}")
        case "literal_error":
            return _not_a_choice(path, details["input"], _expected(details, "expected"))
        case "union_tag_invalid":
            tags = details.get("ctx", {})
            return _not_a_choice(f"{path}.{_key(details)}", tags["tag"], _expected(details, "expected_tags"))
        case "union_tag_not_found":
            return Problem(f"{path}.{_key(details)}", f"required key is missing{place.described}")
        case _:
            template = RULES.get(details["type"])
            reason = template.format(**details.get("ctx", {})) if template else details["msg"]
            hint = _type_hint(details["type"], details["input"])
            return Problem(path, f"{_shown(details['input'])} {reason}{place.described}{hint}")


def _type_hint(kind: str, value: object) -> str:
    """How to write the same value with the type that is wanted.

    `pulumi config set --path` keeps the type of true, false and whole numbers; all else, such as 1.5, becomes
    text unless --type says otherwise. Over a text it keeps the quotes whatever --type says (CLI 3.259).
    """
    match kind, value:
        case "int_type", str() if re.fullmatch(r"[+-]?\d+", value):
            wanted = "int"
        case "float_type", str() if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value, re.IGNORECASE):
            wanted = "float"
        case "string_type", bool() | int() | float():
            return f": write {_shown(json.dumps(value))}, or use `pulumi config set --path --type string`"
        case _:
            return ""
    return (
        f": write {_cut(value)} without quotes, or use `pulumi config rm --path` and then `pulumi config set "
        f"--path --type {wanted}`"
    )


def _not_a_choice(path: str, value: object, choices: list[str]) -> Problem:
    return Problem(path, f"{_shown(value)} is not allowed: {valid_choices(str(value), choices)}")


def _key(details: ErrorDetails) -> str:
    """The key that decides which of several kinds a section is, such as `provider`."""
    return details.get("ctx", {})["discriminator"].strip("'")


def _expected(details: ErrorDetails, entry: str) -> list[str]:
    listed = details.get("ctx", {})[entry].replace(" or ", ", ").split(", ")
    return [choice.strip("'") for choice in listed]


def _shown(value: object) -> str:
    """The value as it stands in the file, cut so that one problem stays one line."""
    return _cut(json.dumps(value, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True)
class _Place:
    """A location without the marks of pydantic, the field that is there, and the keys of its section."""

    location: Location
    field: FieldInfo | None
    keys: tuple[str, ...]

    @property
    def described(self) -> str:
        if self.field is None:
            return ""
        description = self.field.description or _inner_description(self.field)
        return f" ({description})" if description else ""


def _place(root: type[BaseModel], location: Location) -> _Place:
    """Follows `location` from the root, leaving out pydantic's marks for unions, constraints and keys."""
    steps: list[int | str] = []
    section: type[BaseModel] | None = root
    field: FieldInfo | None = None
    kinds: dict[str, type[BaseModel]] = {}
    for index, step in enumerate(location):
        if isinstance(step, str) and step in kinds:
            section, kinds = kinds[step], {}
            continue
        if isinstance(step, int):
            steps.append(step)
            continue
        # Below a mapping with free keys, such as tags, the mapping's own field describes every entry.
        known = field if section is None else section.model_fields.get(step)
        if ("(" in step or "[" in step) and (section is None or known is None):
            continue
        steps.append(step)
        field = known
        if index < len(location) - 1:
            section, kinds = _model_in(known), _kinds(known)
    return _Place(tuple(steps), field, () if section is None else tuple(section.model_fields))


def _inner_description(field: FieldInfo) -> str | None:
    """Description on the type of a field, as `Annotated[str, Field(description=...)] | None` has it."""
    for part in get_args(field.annotation):
        if get_origin(part) is Annotated:
            for mark in get_args(part)[1:]:
                if isinstance(mark, FieldInfo) and mark.description:
                    return mark.description
    return None


def _kinds(field: FieldInfo | None) -> dict[str, type[BaseModel]]:
    """The sections that a key such as `provider` chooses from, by its value."""
    if field is None or not isinstance(field.discriminator, str):
        return {}
    return {
        get_args(kind.model_fields[field.discriminator].annotation)[0]: kind
        for kind in get_args(field.annotation)
    }


def _model_in(field: FieldInfo | None) -> type[BaseModel] | None:
    """The section that a field holds, also inside a list or beside None; None for a plain value."""
    return None if field is None else _model_of(field.annotation)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, types.UnionType, Annotated):
        for part in get_args(annotation):
            found = _model_of(part)
            if found is not None:
                return found
    return None
