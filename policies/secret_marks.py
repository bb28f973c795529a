"""Which values of a resource the program marked as secret, as the engine sends it.

pulumi-policy 1.21 takes the marks off before a rule sees the properties, so policies/received.py notes them
before it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from policies.credentials import Place

_marks: dict[str, frozenset[Place]] = {}


def remember(urn: str, properties: object) -> None:
    """Takes the properties of one resource, with the marks still on them."""
    _marks[urn] = frozenset(_marked(properties, ()))


def is_marked(urn: str, place: Place) -> bool:
    """Whether the value at `place`, or something that it is part of, was marked as secret."""
    marks = _marks.get(urn, frozenset())
    return any(place[:length] in marks for length in range(len(place) + 1))


def _marked(value: object, place: Place) -> Iterator[Place]:
    if isinstance(value, Mapping):
        if value.get(SPECIAL_SIG_KEY) == SPECIAL_SECRET_SIG:
            yield place
            return
        for key, item in value.items():
            yield from _marked(item, (*place, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _marked(item, (*place, index))
