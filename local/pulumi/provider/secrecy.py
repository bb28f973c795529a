"""Which values of an object are secret: those that were secret in the inputs, and what a Secret holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.pulumi.provider.values import Properties, Secret, contains_secret


def mark_secrets(outputs: Properties, inputs: Mapping[str, Any]) -> Properties:
    """Outputs with every value secret that was secret in the inputs.

    Objects are marked field by field, so that one secret does not hide a whole Deployment. A list is marked
    as a whole: the server may have reordered it. `data` and `stringData` of a Secret are always secret.
    """
    marked = dict(outputs)
    if marked.get("kind") == "Secret":
        for field in ("data", "stringData"):
            if field in marked and not isinstance(marked[field], Secret):
                marked[field] = Secret(marked[field])
        return marked
    for key, value in inputs.items():
        if key not in marked or isinstance(marked[key], Secret):
            continue
        if isinstance(marked[key], dict) and isinstance(value, dict):
            marked[key] = mark_secrets(marked[key], value)
        elif contains_secret(value):
            marked[key] = Secret(marked[key])
    return marked
