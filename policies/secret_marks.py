"""Which values of a resource the program marked as secret, as the engine sends it.

pulumi-policy 1.21 takes the marks off before a rule sees the properties, so they are read before it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from pulumi_policy import policy as sdk
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


def receive_from_engine() -> None:
    """Lets the analyzer that PolicyPack starts remember the marks of everything that it is asked about."""
    servicer = sdk._PolicyAnalyzerServicer
    judge_resource, judge_stack = servicer.Analyze, servicer.AnalyzeStack

    def analyze(self: Any, request: Any, _context: Any) -> Any:
        remember(request.urn, MessageToDict(request.properties))
        return judge_resource(self, request, _context)

    def analyze_stack(self: Any, request: Any, _context: Any) -> Any:
        for resource in request.resources:
            remember(resource.urn, MessageToDict(resource.properties))
        return judge_stack(self, request, _context)

    servicer.Analyze, servicer.AnalyzeStack = analyze, analyze_stack
