"""Kubernetes' label selectors."""

from __future__ import annotations

from collections.abc import Mapping

from policies.properties import Section, UnexpectedValueError


def selects(selector: Section, labels: Mapping[str, str]) -> bool:
    """Whether a selector means what has these labels: all of it must hold, and an empty one means all."""
    return all(labels.get(key) == value for key, value in selector.labels("matchLabels").items()) and all(
        _expression_holds(expression, labels) for expression in selector.sections("matchExpressions")
    )


def is_empty(selector: Section) -> bool:
    """Whether a selector means everything."""
    return not selector.labels("matchLabels") and not selector.sections("matchExpressions")


def _expression_holds(expression: Section, labels: Mapping[str, str]) -> bool:
    key, values = expression.text("key") or "", expression.texts("values")
    match expression.text("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise UnexpectedValueError(expression.at("operator"), other, "an operator of a label selector")
