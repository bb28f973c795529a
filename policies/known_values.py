"""The properties of a resource as plain values, without those that a preview does not know yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pulumi_policy.proxy import UnknownValueError


@dataclass(frozen=True)
class KnownValues:
    """values: lists keep the length that they have. unknown: one error for each value that is left out."""

    values: object
    unknown: tuple[UnknownValueError, ...]


def known_values(properties: Mapping[str, object]) -> KnownValues:
    """All of `properties` that can be known."""
    unknown: list[UnknownValueError] = []
    return KnownValues(_known(properties, unknown), tuple(unknown))


def _known(value: object, unknown: list[UnknownValueError]) -> object:
    if isinstance(value, Mapping):
        return {str(key): _item(value, key, unknown) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_item(value, index, unknown) for index in range(len(value))]
    return value


def _item(
    container: Mapping[object, object] | Sequence[object], key: object, unknown: list[UnknownValueError]
) -> object:
    try:
        item = container[key]  # pyright: ignore[reportArgumentType, reportCallIssue] (a key of this container)
    except UnknownValueError as error:
        unknown.append(error)
        return None
    return _known(item, unknown)
