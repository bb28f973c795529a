"""What to tell people when the API server refuses an object."""

from __future__ import annotations

from typing import Final

from local.pulumi.provider.api import ApiError
from local.pulumi.provider.naming import identifier
from local.pulumi.provider.values import Object

PATCH_FORCE: Final = "pulumi.com/patchForce"
"""Annotation with which an update takes fields from other managers."""

FORGET_UNREACHABLE: Final = (
    "If the cluster is gone for good, PULUMI_K8S_DELETE_UNREACHABLE=true forgets what it held"
)


def refusal(obj: Object, done: str, error: ApiError) -> str:
    text = f"{obj['kind']} {identifier(obj)} was not {done}: {error.message}"
    if error.already_exists:
        return (
            f"{text}. It was not made by this stack. Adopt it with `pulumi import`, delete it, or give this "
            "one another name; a renamed Pulumi resource needs an alias"
        )
    if error.conflict and done == "updated":
        return (
            f"{text}. Somebody else manages this field: leave it out of the program, or set the annotation "
            f'{PATCH_FORCE}: "true" to take it'
        )
    return text
