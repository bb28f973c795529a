"""Typed reading of a config.json: what is missing or mistyped is named with its place in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class ConfigError(ValueError):
    """A config.json that cannot be used; the message says which field and what was expected."""


class UnsupportedModelError(ConfigError):
    """A model whose memory is not known by a formula; the message names the model type."""


@dataclass(frozen=True)
class Fields:
    """An object of a config.json. place: where it is, for messages."""

    place: str
    values: Mapping[str, object]

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def integer(self, *names: str) -> int:
        """The first of these fields that is set. Raises ConfigError if none is, or it is not positive."""
        found = self.optional_integer(*names)
        if found is None:
            raise ConfigError(f"{self.place}: {' or '.join(names)} is missing, a whole number above 0")
        if found == 0:
            raise ConfigError(f"{self.place}: {names[0]} is 0, expected a whole number above 0")
        return found

    def optional_integer(self, *names: str) -> int | None:
        """The first of these fields that is set, or None. Zero is a value."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**12:
                raise ConfigError(f"{self.place}: {name} is {value!r}, expected a whole number from 0 up")
            return value
        return None

    def number(self, name: str, default: float) -> float:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1e6:
            raise ConfigError(f"{self.place}: {name} is {value!r}, expected a number above 0")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ConfigError(f"{self.place}: {name} is {value!r}, expected true or false")
        return value

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{self.place}: {name} is {value!r}, expected a text")
        return value

    def texts(self, name: str) -> Sequence[str]:
        """A list of texts; empty if it is not there."""
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{self.place}: {name} is no list of texts")
        return tuple(str(item) for item in value)

    def integers(self, name: str) -> Sequence[int]:
        """A list of whole numbers; empty if it is not there."""
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
            raise ConfigError(f"{self.place}: {name} is no list of whole numbers")
        return tuple(int(item) for item in value)

    def object(self, name: str) -> Fields | None:
        """A nested object, or None."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ConfigError(f"{self.place}: {name} is no object")
        return Fields(f"{self.place}: {name}", value)
