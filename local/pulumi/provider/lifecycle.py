"""Create, read, update and delete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local.pulumi.provider import inputs as program_inputs
from local.pulumi.provider import ownership, state
from local.pulumi.provider.api import ApiError, GroupVersionKind, Resource, Unreachable
from local.pulumi.provider.differences import prune
from local.pulumi.provider.naming import NamingError, annotation, field_manager, identifier, parse_identifier
from local.pulumi.provider.readiness import (
    AnnotationError,
    awaits_deletion,
    judge,
    propagation_policy,
    timeout_seconds,
)
from local.pulumi.provider.secrecy import mark_secrets
from local.pulumi.provider.session import OperationFailed, Registered, Session
from local.pulumi.provider.values import Object, Properties, contains_unknown, from_kubernetes, to_kubernetes
from local.pulumi.provider.waiting import NotGone, NotReady, Patience, until_gone, until_ready
from local.pulumi.provider.pods import explain

_PATCH_FORCE: Final = "pulumi.com/patchForce"

_KIND_APPEARS_SECONDS: Final = 10.0
"""An established CustomResourceDefinition is listed by discovery within about a second; ten are a busy machine."""

_TAKE_OVER_ATTEMPTS: Final = 5
"""A controller may write between our read and our write; the second attempt nearly always succeeds."""


@dataclass(frozen=True)
class Saved:
    """What the engine saves of an object."""

    identifier: str
    outputs: Properties
    inputs: Properties


class InitializationFailed(Exception):
    """The object exists and is saved, but is not ready: the next update continues with it."""

    def __init__(self, saved: Saved, reasons: list[str]) -> None:
        super().__init__(reasons[0])
        self.saved = saved
        self.reasons = reasons


def preview_create(session: Session, resource: Registered, properties: Properties) -> Properties:
    """Outputs of a creation as far as the server can tell without doing it.

    Raises OperationFailed where it would refuse the object, unknown fields included. What the same update makes
    first (a namespace, a definition, an older object of this name that goes) is not held against it.
    """
    inputs = to_kubernetes(properties)
    if contains_unknown(inputs):
        return properties
    try:
        served = session.served(inputs)
        if served is None:
            return properties
        result = _dry_run_create(session, served, inputs)
    except Unreachable as error:
        session.diagnostics.warning(f"not checked against the cluster: {error}", resource.urn)
        return properties
    except ApiError as error:
        if error.already_exists or error.code == 403:
            return properties
        raise OperationFailed(_refusal(inputs, "created", error)) from error
    if result is None:
        return properties
    result.pop("status", None)
    # A preview's outputs are shown, never saved: no field manager is recorded yet.
    outputs = mark_secrets(from_kubernetes(result), properties)
    return outputs


def _dry_run_create(session: Session, served: Resource, inputs: Object) -> Object | None:
    sent = inputs if served.namespaced else program_inputs.without_namespace(inputs)
    try:
        return session.api.create(served, sent, ownership.CREATOR, dry_run=True)
    except ApiError as error:
        if not (error.not_found and served.namespaced):
            raise
    # The namespace comes with the same update. The object's fields can be judged in another one all the same.
    elsewhere = {**sent, "metadata": {**sent["metadata"], "namespace": "default"}}
    try:
        session.api.create(served, elsewhere, ownership.CREATOR, dry_run=True)
    except ApiError as error:
        if error.invalid:
            raise
    return None


def create(session: Session, resource: Registered, properties: Properties, custom_timeout: float) -> Saved:
    """Creates the object and waits until it is ready.

    Raises OperationFailed if there is no object afterwards, InitializationFailed if it is not ready.
    """
    inputs = to_kubernetes(properties)
    manager = field_manager(inputs, None)
    served = _wait_for_kind(session, inputs)
    sent = inputs if served.namespaced else program_inputs.without_namespace(inputs)
    try:
        if session.settings.upsert_existing_objects:
            live = session.api.apply(served, sent, manager, dry_run=False, force=_forces(session, sent))
        else:
            live = session.api.create(served, sent, ownership.CREATOR, dry_run=False)
    except ApiError as error:
        raise OperationFailed(_refusal(sent, "created", error)) from error
    saving = _Saving(inputs, properties, inputs["apiVersion"], manager)
    return _until_ready(session, resource, served, live, saving, custom_timeout)


def _wait_for_kind(session: Session, inputs: Object) -> Resource:
    """Raises OperationFailed if the server does not serve the object's kind in time."""
    deadline = time.monotonic() + _KIND_APPEARS_SECONDS
    while (served := session.served(inputs)) is None:
        if time.monotonic() > deadline or session.cancelled.wait(0.2):
            raise OperationFailed(
                f"the API server has no {inputs['kind']} in {inputs['apiVersion']}. Is its CustomResourceDefinition "
                "installed, and does this resource depend on what installs it?"
            )
    return served


@dataclass(frozen=True)
class _Saving:
    """What goes into the saved state beside the live object."""

    inputs: Object
    secret_inputs: Mapping[str, Any]
    initial_api_version: str
    field_manager: str

    def of(self, live: Object) -> Saved:
        outputs = state.build(
            self.inputs,
            live,
            secret_inputs=self.secret_inputs,
            initial_api_version=self.initial_api_version,
            field_manager=self.field_manager,
        )
        inputs = mark_secrets(from_kubernetes(self.inputs), self.secret_inputs)
        return Saved(identifier(live), outputs, inputs)


def _until_ready(
    session: Session,
    resource: Registered,
    served: Resource,
    live: Object,
    saving: _Saving,
    custom_timeout: float,
) -> Saved:
    def report(message: str) -> None:
        session.diagnostics.status(message, resource.urn)

    try:
        patience = Patience(timeout_seconds(saving.inputs, custom_timeout), session.cancelled, report)
        ready = until_ready(session.api, served, saving.inputs, live, patience)
    except NotReady as error:
        raise InitializationFailed(saving.of(error.live), error.reasons) from error
    except AnnotationError as error:
        raise InitializationFailed(saving.of(live), [str(error)]) from error
    except (ApiError, Unreachable) as error:
        raise InitializationFailed(saving.of(live), [f"its readiness cannot be read: {error}"]) from error
    report("")
    return saving.of(ready)


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
    manager = field_manager(inputs, saved.field_manager)
    served = _wait_for_kind(session, inputs)
    sent = inputs if served.namespaced else program_inputs.without_namespace(inputs)
    try:
        before = _live(session, served, sent)
        before = _take_over(session, served, before, manager)
        kept = ownership.keep_ignored(sent, before, ignored, manager)
        live = session.api.apply(served, kept, manager, dry_run=False, force=_forces(session, sent))
        if saved.field_manager is not None and saved.field_manager != manager:
            minimal = ownership.minimal(live)
            live = session.api.apply(served, minimal, saved.field_manager, dry_run=False, force=False)
    except ApiError as error:
        raise OperationFailed(_refusal(sent, "updated", error)) from error
    initial = inputs["apiVersion"] if saved.initial_api_version is None else saved.initial_api_version
    saving = _Saving(inputs, properties, initial, manager)
    return _until_ready(session, resource, served, live, saving, custom_timeout)


def preview_update(
    session: Session,
    resource: Registered,
    outputs: Mapping[str, Any],
    properties: Properties,
    ignored: Sequence[str],
) -> Properties:
    """Outputs of an update as far as the server can tell without doing it. Raises OperationFailed where it would
    refuse it."""
    saved = state.parse(outputs)
    inputs = program_inputs.normalize(to_kubernetes(properties))
    if contains_unknown(inputs):
        return properties
    manager = field_manager(inputs, saved.field_manager)
    try:
        result = dry_run_update(session, inputs, saved.live, manager, ignored)
    except Unreachable as error:
        session.diagnostics.warning(f"not checked against the cluster: {error}", resource.urn)
        return properties
    except ApiError as error:
        if error.code == 403:
            return properties
        raise OperationFailed(_refusal(inputs, "updated", error)) from error
    if result is None:
        return properties
    initial = inputs["apiVersion"] if saved.initial_api_version is None else saved.initial_api_version
    return _Saving(inputs, properties, initial, manager).of(result).outputs


def dry_run_update(
    session: Session, inputs: Object, saved_live: Object, manager: str, ignored: Sequence[str]
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
    force = _forces(session, sent) or ownership.take_over(before, manager) is not None
    return session.api.apply(served, kept, manager, dry_run=True, force=force)


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


def _forces(session: Session, inputs: Object) -> bool:
    return session.settings.patch_force or annotation(inputs, _PATCH_FORCE) == "true"


def read(
    session: Session,
    resource: Registered,
    text: str,
    outputs: Mapping[str, Any],
    previous: Properties,
) -> Saved | None:
    """The object as it is now: for refresh, import and `get`. None if it is gone.

    Inputs are the live object cut down to the fields of the previous inputs, so that the next comparison finds
    what somebody changed by hand. Raises InitializationFailed if the object is not ready.
    """
    kind = GroupVersionKind.of_type(resource.type)
    saved = state.parse(outputs)
    inputs = program_inputs.normalize(to_kubernetes(previous))
    api_version = inputs.get("apiVersion", saved.live.get("apiVersion", kind.api_version))
    try:
        namespace, name = parse_identifier(text)
        served = session.served({"apiVersion": api_version, "kind": kind.kind})
        live = None if served is None else session.api.find(served, namespace or session.namespace, name)
    except NamingError as error:
        raise OperationFailed(str(error)) from error
    except Unreachable as error:
        if session.settings.delete_unreachable:
            return None
        raise OperationFailed(
            f"{error}. If the cluster is gone for good, PULUMI_K8S_DELETE_UNREACHABLE=true forgets what it held"
        ) from error
    if live is None:
        return None
    live_inputs = program_inputs.of_live_object(live) if not inputs else prune(live, inputs)
    initial = api_version if saved.initial_api_version is None else saved.initial_api_version
    saving = _Saving(live_inputs, previous, initial, field_manager(live_inputs, saved.field_manager))
    current = saving.of(live)
    judged = judge(live_inputs, live) if inputs else None
    if judged is not None and not judged.ready:
        problem = f"{live['kind']} {identifier(live)} is not ready: {judged.detail}"
        raise InitializationFailed(current, [problem, *explain(session.api, live)])
    return current


def delete(
    session: Session, resource: Registered, text: str, outputs: Mapping[str, Any], custom_timeout: float
) -> None:
    """Deletes the object and waits until it is gone. Raises OperationFailed if it stays."""
    saved = state.parse(outputs)
    namespace, name = parse_identifier(text)
    try:
        served = session.served(saved.live)
        if served is None:
            return  # its definition is gone, and every object of the kind with it
        session.api.delete(served, namespace, name, propagation_policy(saved.inputs))
        if awaits_deletion(saved.inputs, saved.live):
            patience = Patience(
                timeout_seconds(saved.inputs, custom_timeout),
                session.cancelled,
                lambda message: session.diagnostics.status(message, resource.urn),
            )
            until_gone(session.api, served, saved.live, patience)
    except ApiError as error:
        if not error.not_found:
            raise OperationFailed(_refusal(saved.live, "deleted", error)) from error
    except NotGone as error:
        raise OperationFailed(str(error)) from error
    except Unreachable as error:
        if session.settings.delete_unreachable:
            return
        raise OperationFailed(
            f"{error}. If the cluster is gone for good, PULUMI_K8S_DELETE_UNREACHABLE=true forgets what it held"
        ) from error


def _refusal(obj: Object, done: str, error: ApiError) -> str:
    text = f"{obj['kind']} {identifier(obj)} was not {done}: {error.message}"
    if error.already_exists:
        return (
            f"{text}. It was not made by this stack. Adopt it with `pulumi import`, delete it, or give this one "
            "another name; a renamed Pulumi resource needs an alias"
        )
    if error.conflict and done == "updated":
        return (
            f"{text}. Somebody else manages this field: leave it out of the program, or set the annotation "
            f'{_PATCH_FORCE}: "true" to take it'
        )
    return text
