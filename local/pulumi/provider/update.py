"""Update: new inputs for an existing object, in a preview as a dry run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from local.pulumi.provider import inputs as program_inputs
from local.pulumi.provider import ownership, state
from local.pulumi.provider.api import ApiError, Resource, Unreachable
from local.pulumi.provider.create import wait_for_kind
from local.pulumi.provider.naming import annotation, field_manager, identifier
from local.pulumi.provider.refusals import PATCH_FORCE, refusal
from local.pulumi.provider.saving import Saved, Saving, patience, save_when_ready
from local.pulumi.provider.session import OperationFailed, Registered, Session
from local.pulumi.provider.values import Object, Properties, contains_unknown, to_kubernetes

_TAKE_OVER_ATTEMPTS: Final = 5
"""A controller may write between our read and our write; the second attempt nearly always succeeds."""


def update(
    session: Session,
    resource: Registered,
    outputs: Mapping[str, Any],
    properties: Properties,
    ignored: Sequence[str],
    custom_timeout: float,
) -> Saved:
    """Applies the new inputs and waits until the object is ready again.

    Raises OperationFailed if the server refuses them, InitializationFailed if the object is not ready.
    """
    saved = state.parse(outputs)
    inputs = program_inputs.normalize(to_kubernetes(properties))
    waiting = patience(session, resource, inputs, custom_timeout)
    manager = field_manager(inputs, saved.field_manager)
    served = wait_for_kind(session, inputs)
    sent = inputs if served.namespaced else program_inputs.without_namespace(inputs)
    try:
        before = _live(session, served, sent)
        before = _take_over(session, served, before, manager)
        kept = ownership.keep_ignored(sent, before, ignored, manager)
        live = _apply(session, served, kept, manager, dry_run=False, force=_forces(session, sent))
        if saved.field_manager is not None and saved.field_manager != manager:
            minimal = ownership.minimal(live)
            live = session.api.apply(served, minimal, saved.field_manager, dry_run=False, force=False)
    except ApiError as error:
        raise OperationFailed(refusal(sent, "updated", error)) from error
    initial = inputs["apiVersion"] if saved.initial_api_version is None else saved.initial_api_version
    saving = Saving(inputs, properties, initial, manager)
    return save_when_ready(session, served, live, saving, waiting)


def preview_update(
    session: Session,
    outputs: Mapping[str, Any],
    properties: Properties,
    ignored: Sequence[str],
) -> Properties:
    """Outputs of an update as far as the server can tell without doing it. Raises OperationFailed where it
    would refuse it."""
    saved = state.parse(outputs)
    inputs = program_inputs.normalize(to_kubernetes(properties))
    if contains_unknown(inputs):
        return properties
    manager = field_manager(inputs, saved.field_manager)
    try:
        result = dry_run_update(session, inputs, saved.live, manager, ignored, Conflicts.REPORT)
    except Unreachable as error:
        session.report_unchecked(error)
        return properties
    except ApiError as error:
        if error.code == 403:
            return properties
        raise OperationFailed(refusal(inputs, "updated", error)) from error
    if result is None:
        return properties
    initial = inputs["apiVersion"] if saved.initial_api_version is None else saved.initial_api_version
    return Saving(inputs, properties, initial, manager).of(result).outputs


class Conflicts(Enum):
    """What a dry run does about fields that somebody else manages."""

    REPORT = "report"
    """As the update itself would."""
    IGNORE = "ignore"
    """Takes them: for questions about what values mean and which can change."""


def dry_run_update(
    session: Session,
    inputs: Object,
    saved_live: Object,
    manager: str,
    ignored: Sequence[str],
    conflicts: Conflicts,
) -> Object | None:
    """What the object would be after an update; None if its kind or the object itself is not there.

    Raises ApiError where the server would refuse the update, Unreachable where it does not answer.
    """
    served = session.served(inputs)
    if served is None:
        return None
    sent = inputs if served.namespaced else program_inputs.without_namespace(inputs)
    metadata = saved_live["metadata"]
    before = session.api.find(served, sent["metadata"].get("namespace"), metadata["name"])
    if before is None:
        return None
    kept = ownership.keep_ignored(sent, before, ignored, manager)
    # A dry run cannot take fields over first, as the update does; force imitates it.
    force = (
        conflicts is Conflicts.IGNORE
        or _forces(session, sent)
        or ownership.take_over(before, manager) is not None
    )
    return _apply(session, served, kept, manager, dry_run=True, force=force)


def _live(session: Session, served: Resource, obj: Object) -> Object:
    """Raises OperationFailed if the object is not there."""
    metadata = obj["metadata"]
    found = session.api.find(served, metadata.get("namespace"), metadata["name"])
    if found is None:
        raise OperationFailed(
            f"{obj['kind']} {identifier(obj)} does not exist any more: somebody else deleted it. "
            "`pulumi refresh` forgets it, and the next update creates it again"
        )
    return found


def _take_over(session: Session, served: Resource, live: Object, manager: str) -> Object:
    for attempt in range(_TAKE_OVER_ATTEMPTS):
        taken = ownership.take_over(live, manager)
        if taken is None:
            return live
        version = live["metadata"]["resourceVersion"]
        operations: list[Object] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "replace", "path": "/metadata/managedFields", "value": taken},
        ]
        try:
            return session.api.patch_json(served, live, operations)
        except ApiError:
            if attempt == _TAKE_OVER_ATTEMPTS - 1:
                raise
            live = _live(session, served, live)
    return live


def _apply(
    session: Session, served: Resource, obj: Object, manager: str, *, dry_run: bool, force: bool
) -> Object:
    try:
        return session.api.apply(served, obj, manager, dry_run=dry_run, force=force)
    except ApiError as error:
        if not ownership.contests_only_edits(error):
            raise
    return session.api.apply(served, obj, manager, dry_run=dry_run, force=True)


def _forces(session: Session, inputs: Object) -> bool:
    return session.settings.patch_force or annotation(inputs, PATCH_FORCE) == "true"
