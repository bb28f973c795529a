"""Who owns which field of a live object, as server-side apply records it in metadata.managedFields."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from local.pulumi.provider.api import ApiError
from local.pulumi.provider.differences import Path, lookup, parse_path
from local.pulumi.provider.values import Object

CREATOR: Final = "pulumi-kubernetes"
"""Field manager of a creation. It is an Update in Kubernetes' terms, not an Apply, because only a POST fails
when the object already exists; the first update takes its fields over."""

_OURS: Final = ("pulumi-kubernetes", "pulumi-resource-kubernetes", "before-first-apply")
_BY_HAND: Final = re.compile(r'conflict with "kubectl[^"]*" using ')
"""How a conflict names an edit by kubectl. Scaling is no edit: it comes with a subresource, and is contested.
"""


def take_over(live: Object, manager: str) -> list[Object] | None:
    """managedFields in which `manager` has applied what the creation and people with kubectl have set, so
    that an apply can change and remove those fields without a conflict; None if there is nothing to take
    over."""
    entries: list[Object] = live["metadata"].get("managedFields", [])
    taken = [entry for entry in entries if _is_ours(entry, live["apiVersion"])]
    if not taken:
        return None
    own = next((entry for entry in entries if _is_applied_by(entry, manager)), None)
    merged: Object = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": {},
        **({} if own is None else copy.deepcopy(own)),
    }
    for entry in taken:
        _merge(merged["fieldsV1"], entry.get("fieldsV1", {}))
    return [entry for entry in entries if entry not in taken and entry is not own] + [merged]


def _is_ours(entry: Mapping[str, Any], api_version: str) -> bool:
    if entry.get("subresource") or entry.get("apiVersion") != api_version:
        return False
    return entry.get("operation") == "Update" and entry.get("manager") in _OURS


def _is_applied_by(entry: Mapping[str, Any], manager: str) -> bool:
    return (
        entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource")
    )


def _merge(target: Object, source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        _merge(target.setdefault(key, {}), value)


def contests_only_edits(error: ApiError) -> bool:
    """Whether an apply conflicts with nothing but edits by hand: those are drift, which an update undoes."""
    return (
        error.conflict and bool(error.causes) and all(_BY_HAND.match(cause.message) for cause in error.causes)
    )


def keep_ignored(inputs: Object, live: Object, ignored: Iterable[str], manager: str) -> Object:
    """Inputs in which the fields of ignoreChanges keep their live values, or are left out where somebody else
    owns them and we do not: sending them would claim or contest them."""
    kept = copy.deepcopy(inputs)
    for text in ignored:
        path = parse_path(text)
        if not path:
            continue
        owners = _owners(live, path)
        if owners and not any(
            _is_applied_by(entry, manager) or _is_ours(entry, live["apiVersion"]) for entry in owners
        ):
            _remove(kept, path)
            continue
        for value in lookup(live, path):
            _replace(kept, path, value)
    return kept


def _owners(live: Object, path: Path) -> list[Object]:
    """Entries of managedFields that own the field. Paths through lists have no owner here: managedFields
    names elements by key or value, not by position."""
    keys = tuple(f"f:{step}" for step in path)
    entries: list[Object] = live["metadata"].get("managedFields", [])
    return [entry for entry in entries if lookup(entry.get("fieldsV1", {}), keys)]


def _remove(obj: Object, path: Path) -> None:
    for parent in lookup(obj, path[:-1]):
        if isinstance(parent, dict):
            parent.pop(path[-1], None)


def _replace(obj: Object, path: Path, value: Any) -> None:
    for parent in lookup(obj, path[:-1]):
        if lookup(parent, path[-1:]):
            parent[path[-1]] = copy.deepcopy(value)


def minimal(obj: Mapping[str, Any]) -> Object:
    """An object that names another and sets nothing: applied, it gives up every field of its manager."""
    metadata = {key: value for key, value in obj["metadata"].items() if key in ("name", "namespace")}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}
