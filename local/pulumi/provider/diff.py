"""Diff: what an update would change, and whether it needs a replacement."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.pulumi.provider import inputs as program_inputs
from local.pulumi.provider import state
from local.pulumi.provider.api import ApiError, GroupVersionKind, Unreachable
from local.pulumi.provider.differences import (
    Change,
    Difference,
    Path,
    contains,
    differences,
    lookup,
    parse_path,
)
from local.pulumi.provider.naming import annotation, field_manager
from local.pulumi.provider.readiness import REPLACE_UNREADY, judge
from local.pulumi.provider.replacement import forcing, immutable_fields, must_delete_first, refused_fields
from local.pulumi.provider.session import Session
from local.pulumi.provider.state import State
from local.pulumi.provider.update import Conflicts, dry_run_update
from local.pulumi.provider.values import Object, Properties, contains_unknown, to_kubernetes


@dataclass(frozen=True)
class Diff:
    differences: tuple[Difference, ...]
    replacing: tuple[Difference, ...]
    """Those of the differences that cannot be made in place."""
    delete_first: bool


def diff(session: Session, outputs: Mapping[str, Any], news: Properties, ignored: Sequence[str]) -> Diff:
    """Compares new inputs with the saved live object, and asks the server where only it can tell: whether a
    value that reads differently means the same (`1000m` and `1`, an empty map and none), and whether a field
    can be changed at all."""
    saved = state.parse(outputs)
    new = program_inputs.normalize(to_kubernetes(news))
    saved = replace(saved, inputs=program_inputs.normalize(saved.inputs), live=copy.deepcopy(saved.live))
    _align_namespaces(session, new, saved)
    ignored_paths = [parse_path(text) for text in ignored]
    found = [
        difference
        for difference in differences(new, saved.inputs, saved.live)
        if not any(contains(path, difference.path) for path in ignored_paths)
    ]
    fields = immutable_fields(new, session.settings)
    if found and not contains_unknown(new):
        found, refused = _ask_server(session, new, saved, found, ignored)
        fields += refused
    replacing = forcing(found, new, saved.live, fields)
    if _is_unready_and_to_be_replaced(session, new, saved):
        unready = Difference(("metadata", "annotations", REPLACE_UNREADY), Change.UPDATE)
        found, replacing = [*found, unready], [*replacing, unready]
    return Diff(tuple(found), tuple(replacing), bool(replacing) and must_delete_first(new, saved.live))


def _is_unready_and_to_be_replaced(session: Session, new: Object, saved: State) -> bool:
    """Whether this is a Job that has not completed and says by annotation that an update replaces it then.

    The official plugin knows the annotation for Jobs only, and looks at the Job as it is now.
    """
    kind = GroupVersionKind.of(new)
    if (kind.group, kind.kind) != ("batch", "Job") or annotation(new, REPLACE_UNREADY) != "true":
        return False
    metadata = saved.live["metadata"]
    try:
        served = session.served(saved.live)
        live = (
            None if served is None else session.api.find(served, metadata.get("namespace"), metadata["name"])
        )
    except (Unreachable, ApiError):
        return False
    return live is not None and not judge(new, live).ready


def _align_namespaces(session: Session, new: Object, saved: State) -> None:
    """Makes an absent namespace and the default one the same, and forgets it for kinds outside namespaces."""
    try:
        namespaced = session.is_namespaced(new)
    except Unreachable:
        namespaced = "namespace" in saved.live.get("metadata", {})
    for obj in (new, saved.inputs, saved.live):
        if namespaced:
            program_inputs.set_namespace(obj, "default")
        elif isinstance(obj.get("metadata"), dict):
            obj["metadata"].pop("namespace", None)


def _ask_server(
    session: Session, new: Object, saved: State, found: list[Difference], ignored: Sequence[str]
) -> tuple[list[Difference], tuple[Path, ...]]:
    """The differences that would still be there after an update, and fields that the server refuses to
    change.
    """
    manager = field_manager(new, saved.field_manager)
    try:
        result = dry_run_update(session, new, saved.live, manager, ignored, Conflicts.IGNORE)
    except Unreachable:
        return found, ()
    except ApiError as error:
        # Any other refusal is the update's to report, with the operation's context.
        return found, tuple(refused_fields(error))
    if result is None:
        return found, ()
    meant = [
        difference
        for difference in found
        if difference.change is Change.DELETE
        or lookup(result, difference.path) != lookup(saved.live, difference.path)
    ]
    return meant, ()
