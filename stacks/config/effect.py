"""Fields of a stack file that are read and checked, and that nothing is built from yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.config import JsonDict


@dataclass(frozen=True)
class NoEffectYet:
    """Marks a field, as its `json_schema_extra`; editors and stacks/schema.json show it too.

    reason: what is missing. only: the values that have no effect; empty for all of them.
    """

    reason: str
    only: tuple[object, ...] = ()

    def __call__(self, schema: JsonDict) -> None:
        which = f"{' and '.join(map(str, self.only))} has" if self.only else "Has"
        schema["description"] = f"{schema['description']}. {which} no effect yet: {self.reason}"

    def concerns(self, value: object) -> bool:
        return not self.only or value in self.only


@dataclass(frozen=True)
class Ineffective:
    """A field that a stack file sets and that changes nothing yet. path: `cluster.api_allowed_cidrs`."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} has no effect yet: {self.reason}"


def ineffective(section: BaseModel, prefix: str = "") -> Iterator[Ineffective]:
    """The fields set in the file that have no effect yet, in the order of the model."""
    for name, field in type(section).model_fields.items():
        if name not in section.model_fields_set:
            continue
        path, value, mark = f"{prefix}{name}", getattr(section, name), field.json_schema_extra
        if isinstance(mark, NoEffectYet):
            if mark.concerns(value):
                yield Ineffective(path, mark.reason)
        else:
            yield from _within(value, path)


def _within(value: object, path: str) -> Iterator[Ineffective]:
    match value:
        case BaseModel():
            yield from ineffective(value, f"{path}.")
        case tuple():
            for index, item in enumerate(value):
                yield from _within(item, f"{path}[{index}]")
        case Mapping():
            for key, item in value.items():
                yield from _within(item, f"{path}.{key}")
        case _:
            pass
