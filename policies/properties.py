"""Typed reading of what a program registered, in which anything may be missing, odd or not known yet.

Policies see proxies, not dicts and lists, and numbers as floats. Reading an unknown value raises
pulumi_policy's UnknownValueError; a value of the wrong kind raises UnexpectedValueError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite


class UnexpectedValueError(ValueError):
    """A property has a type that Kubernetes would refuse, so nothing can be concluded from it."""

    def __init__(self, path: str, value: object, expected: str) -> None:
        super().__init__(f"{path} is {_shown(value)}, expected {expected}")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    return repr(value)


@dataclass(frozen=True)
class Section:
    """One object inside the properties of a resource. path: where it is, such as `spec.template`."""

    path: str
    values: Mapping[str, object]

    def at(self, key: str) -> str:
        """Path of a property of this object."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    def section(self, key: str) -> Section:
        """The object at `key`; an empty one if it is missing."""
        return _section(self.at(key), self.values.get(key))

    def sections(self, key: str) -> list[Section]:
        """The list of objects at `key`; none if it is missing."""
        return [_section(f"{self.at(key)}[{index}]", item) for index, item in enumerate(self._list(key))]

    def texts(self, key: str) -> list[str]:
        """The list of strings at `key`; none if it is missing."""
        found = []
        for index, item in enumerate(self._list(key)):
            if not isinstance(item, str):
                raise UnexpectedValueError(f"{self.at(key)}[{index}]", item, "text")
            found.append(item)
        return found

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise UnexpectedValueError(self.at(key), value, "text")

    def flag(self, key: str) -> bool | None:
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise UnexpectedValueError(self.at(key), value, "true or false")

    def number(self, key: str) -> float | None:
        """The number at `key`, which Kubernetes also takes as text: a quantity without a suffix."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = finite(str(value))
            if number is not None:
                return number
        raise UnexpectedValueError(self.at(key), value, "a number")

    def labels(self, key: str) -> dict[str, str]:
        """The mapping of text to text at `key`, such as labels or a node selector."""
        section = self.section(key)
        found = {}
        for name in section.values:
            value = section.text(name)
            if value is not None:
                found[name] = value
        return found

    def _list(self, key: str) -> Sequence[object]:
        value = self.values.get(key)
        if value is None:
            return ()
        if isinstance(value, Sequence) and not isinstance(value, str):
            return value
        raise UnexpectedValueError(self.at(key), value, "a list")


def finite(text: str) -> float | None:
    """The number that `text` is; None if it is none, or one that cannot be counted with."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _section(path: str, value: object) -> Section:
    if value is None:
        return Section(path, {})
    if isinstance(value, Mapping):
        return Section(path, value)
    raise UnexpectedValueError(path, value, "an object")
