"""Delete: remove an object and wait until it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.pulumi.provider import state
from local.pulumi.provider.api import ApiError, Unreachable
from local.pulumi.provider.naming import parse_identifier
from local.pulumi.provider.readiness import awaits_deletion, propagation_policy
from local.pulumi.provider.refusals import FORGET_UNREACHABLE, refusal
from local.pulumi.provider.saving import patience
from local.pulumi.provider.session import OperationFailed, Registered, Session
from local.pulumi.provider.waiting import NotGone, until_gone


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
        session.api.delete(served, namespace, name, propagation_policy(saved.inputs, saved.live))
        if awaits_deletion(saved.inputs, saved.live):
            until_gone(
                session.api, served, saved.live, patience(session, resource, saved.inputs, custom_timeout)
            )
    except ApiError as error:
        if not error.not_found:
            raise OperationFailed(refusal(saved.live, "deleted", error)) from error
    except NotGone as error:
        raise OperationFailed(str(error)) from error
    except Unreachable as error:
        if session.settings.delete_unreachable:
            return
        raise OperationFailed(f"{error}. {FORGET_UNREACHABLE}") from error
