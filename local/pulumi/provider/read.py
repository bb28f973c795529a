"""Read: the object as it is now, for refresh, import and `get`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.pulumi.provider import inputs as program_inputs
from local.pulumi.provider import state
from local.pulumi.provider.api import GroupVersionKind, Unreachable
from local.pulumi.provider.differences import prune
from local.pulumi.provider.naming import NamingError, field_manager, identifier, parse_identifier
from local.pulumi.provider.pods import explain
from local.pulumi.provider.readiness import judge
from local.pulumi.provider.refusals import FORGET_UNREACHABLE
from local.pulumi.provider.saving import InitializationFailed, Saved, Saving
from local.pulumi.provider.session import OperationFailed, Registered, Session
from local.pulumi.provider.values import Properties, to_kubernetes


def read(
    session: Session,
    resource: Registered,
    text: str,
    outputs: Mapping[str, Any],
    previous: Properties,
) -> Saved | None:
    """The object as it is now: for refresh, import and `get`. None if it is gone.

    Inputs are the live object cut down to the fields of the previous inputs, so that the next comparison
    finds what somebody changed by hand. Raises InitializationFailed if the object is not ready.
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
        raise OperationFailed(f"{error}. {FORGET_UNREACHABLE}") from error
    if live is None:
        return None
    live_inputs = program_inputs.of_live_object(live) if not inputs else prune(live, inputs)
    initial = api_version if saved.initial_api_version is None else saved.initial_api_version
    saving = Saving(live_inputs, previous, initial, field_manager(live_inputs, saved.field_manager))
    current = saving.of(live)
    judged = judge(live_inputs, live) if inputs else None
    if judged is not None and not judged.ready:
        problem = f"{live['kind']} {identifier(live)} is not ready: {judged.detail}"
        raise InitializationFailed(current, [problem, *explain(session.api, live)])
    return current
