"""Create: a new object, in a preview as a dry run."""

from __future__ import annotations

import time
from typing import Final

from local.pulumi.provider import inputs as program_inputs
from local.pulumi.provider import ownership
from local.pulumi.provider.api import ApiError, Resource, Unreachable
from local.pulumi.provider.naming import field_manager
from local.pulumi.provider.refusals import refusal
from local.pulumi.provider.saving import Saved, Saving, patience, save_when_ready
from local.pulumi.provider.secrecy import mark_secrets
from local.pulumi.provider.session import OperationFailed, Registered, Session
from local.pulumi.provider.values import Object, Properties, contains_unknown, from_kubernetes, to_kubernetes

_KIND_APPEARS_SECONDS: Final = 10.0
"""An established CustomResourceDefinition is listed by discovery within about a second; ten are a busy
machine."""


def preview_create(session: Session, properties: Properties) -> Properties:
    """Outputs of a creation as far as the server can tell without doing it.

    Raises OperationFailed where it would refuse the object, unknown fields included. What the same update
    makes first (a namespace, a definition, an older object of this name that goes) is not held against it.
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
        session.report_unchecked(error)
        return properties
    except ApiError as error:
        if error.already_exists or error.code == 403:
            return properties
        raise OperationFailed(refusal(inputs, "created", error)) from error
    if result is None:
        return properties
    result.pop("status", None)
    # Shown, never saved: no field manager is recorded yet.
    return mark_secrets(from_kubernetes(result), properties)


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
    waiting = patience(session, resource, inputs, custom_timeout)
    manager = field_manager(inputs, None)
    served = wait_for_kind(session, inputs)
    sent = inputs if served.namespaced else program_inputs.without_namespace(inputs)
    try:
        if session.settings.upsert_existing_objects:
            live = session.api.apply(served, sent, manager, dry_run=False, force=session.settings.patch_force)
        else:
            live = session.api.create(served, sent, ownership.CREATOR, dry_run=False)
    except ApiError as error:
        raise OperationFailed(refusal(sent, "created", error)) from error
    saving = Saving(inputs, properties, inputs["apiVersion"], manager)
    return save_when_ready(session, served, live, saving, waiting)


def wait_for_kind(session: Session, inputs: Object) -> Resource:
    """Raises OperationFailed if the server does not serve the object's kind in time."""
    deadline = time.monotonic() + _KIND_APPEARS_SECONDS
    while (served := session.served(inputs)) is None:
        if time.monotonic() > deadline or session.cancelled.wait(0.2):
            raise OperationFailed(
                f"the API server has no {inputs['kind']} in {inputs['apiVersion']}. Is its "
                "CustomResourceDefinition installed, and does this resource depend on what installs it?"
            )
    return served
