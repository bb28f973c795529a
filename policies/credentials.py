"""Whether something looks like a credential: a token, a key or a password that must not be readable.

What is found is named and placed, and never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from sizing.tables import read_table


@dataclass(frozen=True)
class Shape:
    """How one kind of credential is told. called: what messages call it.

    starts: a text without any of these needs no search; regular expressions over every dashboard take long.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    called: str
    starts: tuple[str, ...]
    pattern: str
    as_of: date
    source: str

    @cached_property
    def expression(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def is_in(self, text: str) -> bool:
        return any(start in text for start in self.starts) and self.expression.search(text) is not None


SHAPES = read_table(Path(__file__).parent / "data" / "credentials.yaml", Shape)

HIDDEN = "***"
"""Stands in a path for a key that is a credential itself."""

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Credential:
    """Something that looks like one. called: such as "a token of GitHub". place: keys and indices."""

    called: str
    place: Place

    @property
    def path(self) -> str:
        """The place as people write it: `models[0].name`."""
        path = ""
        for step in self.place:
            path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        return path


_STARTS = tuple(start for shape in SHAPES.values() for start in shape.starts)


@lru_cache(maxsize=2**14)  # names, labels and kinds come again and again: one text in ten is new
def credential_in(text: str) -> str | None:
    """What the first credential in `text` is called; None if there is none.

    Also in text that is quoted as JSON strings are, however often: documents are registered inside documents.
    """
    plain = _ESCAPE.sub(lambda escape: _MEANING.get(escape[1], " "), text) if "\\" in text else text
    if not any(start in plain for start in _STARTS):
        return None
    return next((shape.called for shape in SHAPES.values() if shape.is_in(plain)), None)


_ESCAPE = re.compile(r'\\+(["/bfnrt])')
_MEANING = {'"': '"', "/": "/"}
"""What an escape stands for where a shape may contain it; the others end a word."""


def credentials(value: object, place: Place = ()) -> Iterator[Credential]:
    """Every credential in texts, lists and mappings, keys included.

    Some can be told only by the name beside them: a text is also read as NAME=text, with the key of its
    mapping, the `name` beside a `value` as containers have it, or the flag before it in a list.
    """
    if isinstance(value, str):
        called = credential_in(value)
        if called is not None:
            yield Credential(called, place)
    elif isinstance(value, Mapping):
        yield from _in_mapping(value, place)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        before: object = None
        for index, item in enumerate(value):
            flag = before if isinstance(before, str) and before.startswith("-") else ""
            yield from _named(flag, item, (*place, index))
            before = item


def _in_mapping(mapping: Mapping[object, object], place: Place) -> Iterator[Credential]:
    variable = mapping.get("name")
    for key, item in mapping.items():
        name = str(key)
        called = credential_in(name)
        step = name if called is None else HIDDEN
        if called is not None:
            yield Credential(called, (*place, step))
        if key == "value" and isinstance(variable, str):
            name = variable
        yield from _named(name, item, (*place, step))


def _named(name: str, value: object, place: Place) -> Iterator[Credential]:
    found = list(credentials(value, place))
    if not found and name and isinstance(value, str):
        called = credential_in(f"{name}={value}")
        # The name is judged by itself, and need not be reported again with each of its values.
        if called is not None and credential_in(name) is None:
            found.append(Credential(called, place))
    yield from found
