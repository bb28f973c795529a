"""Fields of a stack file that are read and checked, and that change nothing: not yet, or not in this file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
    return [found for _, found, is_named in _of_section(section, ()) if is_named]


def effective_json(section: Section, besides: Iterable[Way] = ()) -> str:
    """`section` as JSON without what has no effect, set in the file or not, and without `besides`."""
    return section.model_dump_json(
        exclude=_tree([*(way for way, _, _ in _of_section(section, ())), *besides])
    )


def _tree(ways: Sequence[Way]) -> dict[Any, Any]:
    """The fields at the ends of `ways` as Pydantic takes them."""
    return {
        step: True if (step,) in ways else _tree([way[1:] for way in ways if way[0] == step])
        for step in dict.fromkeys(way[0] for way in ways)
    }


def _of_section(section: Section, way: Way) -> Iterator[tuple[Way, Ineffective, bool]]:
    """Everything without effect: where it is, what is said of it, whether it is named."""
    for name, field in type(section).model_fields.items():
        value, mark = getattr(section, name), field.json_schema_extra
        place = (*way, name)
        if isinstance(mark, NoEffectYet):
            is_named = name in section.model_fields_set and mark.concerns(value)
            yield place, Ineffective(_path(place), mark.reason), is_named
        else:
            yield from _within(value, place)
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
