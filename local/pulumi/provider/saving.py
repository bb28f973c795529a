"""What the engine saves of an object after an operation, ready or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.pulumi.provider import state
from local.pulumi.provider.api import ApiError, Resource, Unreachable
from local.pulumi.provider.naming import identifier
from local.pulumi.provider.readiness import AnnotationError, timeout_seconds
from local.pulumi.provider.secrecy import mark_secrets
from local.pulumi.provider.session import Registered, Session
from local.pulumi.provider.values import Object, Properties, from_kubernetes
from local.pulumi.provider.waiting import NotReady, Patience, until_ready


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


@dataclass(frozen=True)
class Saving:
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


def patience(
    session: Session, resource: Registered, inputs: Mapping[str, Any], custom_timeout: float
) -> Patience:
    """How long to wait for this resource. Raises AnnotationError, so ask before anything is written."""
    return Patience(
        timeout_seconds(inputs, custom_timeout),
        session.cancelled,
        lambda message: session.diagnostics.status(message, resource.urn),
    )


def save_when_ready(
    session: Session, served: Resource, live: Object, saving: Saving, patience: Patience
) -> Saved:
    """Waits until the object is ready. Raises InitializationFailed, with what to save all the same, if it is
    not."""
    try:
        return saving.of(until_ready(session.api, served, saving.inputs, live, patience))
    except NotReady as error:
        raise InitializationFailed(saving.of(error.live), error.reasons) from error
    except AnnotationError as error:
        raise InitializationFailed(saving.of(live), [str(error)]) from error
    except (ApiError, Unreachable) as error:
        raise InitializationFailed(saving.of(live), [f"its readiness cannot be read: {error}"]) from error
