"""Pulumi's property values: secrets and unknowns, to and from the protobuf structs of the plugin protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_UNKNOWN_MARKER: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_MARKERS: Final = frozenset(
    {
        _UNKNOWN_MARKER,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

_EXACT_INTEGERS: Final = 2**53
"""Numbers travel as doubles; from here on a double no longer stands for exactly one integer."""

# Property names that code generators spell with underscores and Kubernetes with dashes.
_DASHED: Final = {
    name.replace("-", "_"): name
    for name in (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
}
_UNDERSCORED: Final = {dashed: underscored for underscored, dashed in _DASHED.items()}


class Unknown(Enum):
    """A value that is not known before the resource it comes from exists."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in the state and hides in its output."""

    value: Any


Properties = dict[str, Any]
"""A tree of dicts, lists, strings, numbers, booleans and None, with `Secret` and `UNKNOWN` as possible
values."""

Object = dict[str, Any]
"""A Kubernetes object as JSON; `UNKNOWN` may still stand in it, `Secret` may not."""


class UnsupportedValue(ValueError):
    """An asset, archive or resource reference: Kubernetes objects have no use for them."""


def decode(struct: Struct) -> Properties:
    """Properties of a request. Whole numbers become integers, as Kubernetes writes them.

    Raises UnsupportedValue for assets, archives and resource references.
    """
    return {key: _decode(value) for key, value in struct.fields.items()}


def _decode(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in _UNKNOWN_MARKERS else text
    if kind == "struct_value":
        fields = value.struct_value.fields
        if _SIGNATURE in fields:
            if fields[_SIGNATURE].string_value != _SECRET:
                raise UnsupportedValue(
                    "assets and references to resources cannot stand in a Kubernetes object"
                )
            return Secret(_decode(fields["value"]))
        return {key: _decode(item) for key, item in fields.items()}
    if kind == "list_value":
        return [_decode(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < _EXACT_INTEGERS else number
    return value.bool_value if kind == "bool_value" else None


def encode(properties: Mapping[str, Any]) -> Struct:
    """The struct that carries these properties in an answer."""
    struct = Struct()
    struct.update(_encode(properties))
    return struct


def _encode(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _encode(value.value)}
    return _UNKNOWN_MARKER if value is UNKNOWN else value


def reveal(value: Any) -> Any:
    """A copy without secret wrappers: what is sent to the API server."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


def contains_unknown(value: Any) -> bool:
    return _any(value, lambda leaf: leaf is UNKNOWN)


def contains_secret(value: Any) -> bool:
    return _any(value, lambda leaf: isinstance(leaf, Secret))


def _any(value: Any, condition: Callable[[Any], bool]) -> bool:
    if condition(value):
        return True
    if isinstance(value, Secret):
        return _any(value.value, condition)
    if isinstance(value, dict):
        return any(_any(item, condition) for item in value.values())
    return isinstance(value, list) and any(_any(item, condition) for item in value)


def to_kubernetes(properties: Mapping[str, Any]) -> Object:
    """The object that these properties describe: no secret wrappers, field names as Kubernetes spells
    them."""
    return _renamed(reveal(dict(properties)), _DASHED)


def from_kubernetes(obj: Mapping[str, Any]) -> Properties:
    """The properties that describe this object, with field names as the SDKs spell them."""
    return _renamed(obj, _UNDERSCORED)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value
