"""Which changes Kubernetes cannot make in place, so that the object has to be replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path as File
from typing import Any, Final

import yaml

from local.pulumi.provider.api import ApiError, GroupVersionKind
from local.pulumi.provider.differences import Difference, Path, contains, lookup, parse_path
from local.pulumi.provider.naming import is_autonamed
from local.pulumi.provider.settings import Settings
from local.pulumi.provider.values import Object

_IDENTITY: Final[tuple[Path, ...]] = (("metadata", "name"), ("metadata", "namespace"))

_REFUSALS: Final = (
    "is immutable",
    "immutable after creation",
    "may not change once set",
    "cannot change roleRef",
    "updates to statefulset spec for fields other than",
    "pod updates may not change fields",
)
"""What the API server says about a field that cannot be changed; it has no machine-readable reason for it."""


def immutable_fields(obj: Mapping[str, Any], settings: Settings) -> tuple[Path, ...]:
    """Paths below which a change forces a replacement. Secrets and ConfigMaps are replaced for new data
    unless the provider is told to change them in place, or they are marked immutable themselves."""
    kind = GroupVersionKind.of(obj)
    fields = _IDENTITY + _table().get(f"{kind.group}/{kind.kind}", ())
    fixed = obj.get("immutable") is True
    if kind.group == "" and kind.kind == "Secret" and (fixed or not settings.secret_mutable):
        return (*fields, ("data",), ("stringData",))
    if kind.group == "" and kind.kind == "ConfigMap" and (fixed or not settings.config_map_mutable):
        return (*fields, ("data",), ("binaryData",))
    return fields


@cache
def _table() -> dict[str, tuple[Path, ...]]:
    document = yaml.safe_load(File(__file__).with_name("data").joinpath("immutable_fields.yaml").read_text())
    return {kind: tuple(parse_path(field) for field in fields) for kind, fields in document.items()}


def forcing(
    found: Iterable[Difference], new: Object, live: Object, fields: tuple[Path, ...]
) -> list[Difference]:
    """The differences that force a replacement: those below an immutable field, and those above one whose
    value differs."""
    return [
        difference
        for difference in found
        if any(
            contains(field, difference.path)
            or (contains(difference.path, field) and lookup(new, field) != lookup(live, field))
            for field in fields
        )
    ]


def refused_fields(error: ApiError) -> list[Path]:
    """Fields that the server says cannot be changed; empty if it refused for another reason."""
    if not error.invalid:
        return []
    paths = [
        parse_path(cause.field)
        for cause in error.causes
        if any(refusal in cause.message for refusal in _REFUSALS) and cause.field
    ]
    if paths or not any(refusal in error.message for refusal in _REFUSALS):
        return paths
    return [("spec",)]


def must_delete_first(new: Object, live: Object) -> bool:
    """Whether a replacement has to delete the old object first, because the new one takes its very name."""
    old_metadata, metadata = live["metadata"], new["metadata"]
    return (
        not is_autonamed(new)
        and metadata.get("name") == old_metadata["name"]
        and metadata.get("namespace") == old_metadata.get("namespace")
    )
