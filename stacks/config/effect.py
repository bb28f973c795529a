"""Fields of a stack file that are read and checked, and that change nothing: not yet, or not in this file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic.config import JsonDict

from stacks.config.section import Section, Way


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
    """A field that changes nothing.

    path: `cluster.api_allowed_cidrs`. when: `here` if it is another field of the file that leaves it without
    effect.
    """

    path: str
    reason: str
    when: Literal["yet", "here"] = "yet"

    def __str__(self) -> str:
        return f"{self.path} has no effect {self.when}: {self.reason}"


def ineffective(section: Section) -> list[Ineffective]:
    """What is set in the file and has no effect, in the order of the model."""
    return [found for _, found, is_set in _of_section(section, ()) if is_set]


def effective_json(section: Section, besides: Iterable[Way] = ()) -> str:
    """`section` as JSON, with null for what has no effect, set in the file or not, and for `besides`."""
    ways = [*(way for way, _, _ in _of_section(section, ())), *besides]
    return json.dumps(_blanked(section.model_dump(mode="json"), ways))


def _blanked(value: object, ways: Sequence[Way]) -> object:
    if () in ways:
        return None
    match value:
        case dict():
            return {key: _blanked(item, _below(key, ways)) for key, item in value.items()}
        case list():
            return [_blanked(item, _below(index, ways)) for index, item in enumerate(value)]
        case _:
            return value


def _below(step: str | int, ways: Sequence[Way]) -> list[Way]:
    return [way[1:] for way in ways if way[0] == step]


def _of_section(section: Section, way: Way) -> Iterator[tuple[Way, Ineffective, bool]]:
    """Everything without effect: where it is, what is said of it, whether the file sets it."""
    for name, field in type(section).model_fields.items():
        value, mark = getattr(section, name), field.json_schema_extra
        if not isinstance(mark, NoEffectYet):
            yield from _within(value, (*way, name))
        elif mark.concerns(value):
            place = (*way, name)
            yield place, Ineffective(_path(place), mark.reason), name in section.model_fields_set
    for inner, reason in section.without_effect():
        place = (*way, *inner)
        yield place, Ineffective(_path(place), reason, "here"), inner[0] in section.model_fields_set


def _within(value: object, way: Way) -> Iterator[tuple[Way, Ineffective, bool]]:
    match value:
        case Section():
            yield from _of_section(value, way)
        case tuple():
            for index, item in enumerate(value):
                yield from _within(item, (*way, index))
        case Mapping():
            for key, item in value.items():
                yield from _within(item, (*way, str(key)))
        case _:
            pass


def _path(way: Way) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)[1:]
