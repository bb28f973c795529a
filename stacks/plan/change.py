"""One thing that differs between two plans, and whether that is a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sizing.cost import Span

Effect = Literal["loss", "gain", "dearer", "cheaper", "no effect", ""]

Judged = Callable[[object, object], Effect]
"""Says what going from the first value to the second is."""


@dataclass(frozen=True)
class Change:
    """subject: the model, pool or section that changes. before, after: as they are shown, "-" for none."""

    subject: str
    what: str
    before: str
    after: str
    effect: Effect


def more_is_gain(before: object, after: object) -> Effect:
    """For numbers; None, where a limit is left out, is no limit."""
    return _compared(before, after, "gain", "loss")


def less_is_gain(before: object, after: object) -> Effect:
    return _compared(before, after, "loss", "gain")


def less_is_cheaper(before: object, after: object) -> Effect:
    """For money: a number, or a Span, of which the first amount that differs counts."""
    if isinstance(before, Span) and isinstance(after, Span):
        pairs = (
            (before.expected, after.expected),
            (before.maximum, after.maximum),
            (before.minimum, after.minimum),
        )
        before, after = next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
    return _compared(before, after, "dearer", "cheaper")


def presence_is_gain(before: object, after: object) -> Effect:
    """For what may be left out: without it, something is lost."""
    if before is None:
        return "gain"
    return "loss" if after is None else ""


def members_are_gain(before: object, after: object) -> Effect:
    """For lists of names: a loss if one is missing, whatever else is new."""
    old, new = _members(before), _members(after)
    if old - new:
        return "loss"
    return "gain" if new - old else ""


def neutral(before: object, after: object) -> Effect:
    del before, after
    return ""


def _members(value: object) -> set[str]:
    return {str(item) for item in value} if isinstance(value, (list, tuple)) else set()


def _compared(before: object, after: object, up: Effect, down: Effect) -> Effect:
    old, new = _number(before), _number(after)
    if old is None or new is None or old == new:
        return ""
    return up if new > old else down


def _number(value: object) -> float | None:
    if value is None:
        return float("inf")
    return float(value) if isinstance(value, (int, float)) else None
