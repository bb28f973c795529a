"""The configuration of the stack that is judged, as the engine sends it: where a rule finds the budget.

Other programs have other configuration, so a rule must expect that a section is missing or means something
else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pulumi_policy import policy as sdk
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

_sections: dict[str, str] = {}


def remember(project: str, values: Mapping[str, str]) -> None:
    """Takes the configuration of a stack: JSON or plain text by key, such as `llm-platform:budget`."""
    prefix = f"{project}:"
    _sections.clear()
    _sections.update(
        {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    )


def section(key: str, kind: TypeAdapter[T]) -> T | None:
    """The section of the project's own configuration; None if the stack has none, or another program's."""
    try:
        return kind.validate_json(_sections[key]) if key in _sections else None
    except ValidationError:
        return None


def receive_from_engine() -> None:
    """Lets the analyzer that PolicyPack starts remember what the engine says of the stack.

    The engine sends the configuration with ConfigureStack, and pulumi-policy 1.21 keeps only the tags of it.
    """
    servicer = sdk._PolicyAnalyzerServicer
    keep_tags = servicer.ConfigureStack

    def configure_stack(self: Any, request: Any, _context: Any) -> Any:
        remember(request.project, request.config)
        return keep_tags(self, request, _context)

    servicer.ConfigureStack = configure_stack
