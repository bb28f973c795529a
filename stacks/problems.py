"""What is wrong with a stack file, said so that a tired person can put it right."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from infra.choices import valid_choices

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, and what is wrong, allowed and to be done, in one line."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


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
    location = _without_tags(details["loc"])
    path = path_of(location)
    match details["type"]:
        case "extra_forbidden":
            keys = _section_at(root, location[:-1]).model_fields
            return Problem(path, f"unknown key: {valid_choices(str(location[-1]), keys)}")
        case "missing":
            return Problem(path, f"required key is missing{_description(root, location)}")
        case "literal_error":
            expected = [choice.strip("'") for choice in _expected(details)]
            value = details["input"]
            return Problem(path, f"{_shown(value)} is not allowed: {valid_choices(str(value), expected)}")
        case _:
            template = RULES.get(details["type"])
            reason = template.format(**details.get("ctx", {})) if template else details["msg"]
            return Problem(path, f"{_shown(details['input'])} {reason}{_description(root, location)}")


def _expected(details: ErrorDetails) -> list[str]:
    return details.get("ctx", {})["expected"].replace(" or ", ", ").split(", ")


def _shown(value: object) -> str:
    """The value as it stands in the file, cut so that one problem stays one line."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _without_tags(location: Location) -> Location:
    """Drops the marks that pydantic puts into a location for a step through a union or a constraint."""
    return tuple(step for step in location if isinstance(step, int) or ("(" not in step and "[" not in step))


def _description(root: type[BaseModel], location: Location) -> str:
    field = _field_at(root, location)
    description = None if field is None else field.description
    if field is not None and description is None:
        description = _inner_description(field)
    return f" ({description})" if description else ""


def _inner_description(field: FieldInfo) -> str | None:
    """Description on the type of a field, as `Annotated[str, Field(description=...)] | None` has it."""
    for part in get_args(field.annotation):
        if get_origin(part) is Annotated:
            for mark in get_args(part)[1:]:
                if isinstance(mark, FieldInfo) and mark.description:
                    return mark.description
    return None


def _field_at(root: type[BaseModel], location: Location) -> FieldInfo | None:
    names = [step for step in location if isinstance(step, str)]
    if not names:
        return None
    return _section_at(root, location[: location.index(names[-1])]).model_fields.get(names[-1])


def _section_at(root: type[BaseModel], location: Location) -> type[BaseModel]:
    """The model that describes the object at `location`."""
    section = root
    for step in location:
        if isinstance(step, str):
            section = _model_in(section.model_fields[step].annotation) or section
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model inside a type such as `tuple[Model, ...]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, types.UnionType, Annotated):
        for part in get_args(annotation):
            found = _model_in(part)
            if found is not None:
                return found
    return None
