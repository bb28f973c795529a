"""Waiting until an object is ready or gone, and saying meanwhile what it waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.pulumi.provider.api import ApiServer, Resource
from local.pulumi.provider.naming import identifier
from local.pulumi.provider.pods import explain
from local.pulumi.provider.readiness import Readiness, judge
from local.pulumi.provider.values import Object

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
"""Polling, not watching: most objects are ready or gone within 0.2 s, and Pulumi waits for 8 at a time on two
cores, so that a poll a second costs less than a stream and its cache for each."""

_FOREGROUND: Final = "foregroundDeletion"
"""Finalizer that Kubernetes itself sets while it deletes an object's dependants."""

_EXPLAIN_EVERY_SECONDS: Final = 2.0
"""An explanation takes up to three more requests."""


class NotReady(Exception):
    """The object exists but did not become ready. `live` is its last state, `reasons` are for people."""

    def __init__(self, live: Object, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.live = live
        self.reasons = reasons


class NotGone(Exception):
    """The object was deleted but is still there; the message says what holds it."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, what ends the wait early, and who hears about its progress."""

    seconds: float
    cancelled: threading.Event
    report: Callable[[str], None]

    def pauses(self) -> Iterator[float]:
        """Seconds waited so far, before each look; ends when time is up or the operation is cancelled."""
        start, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while (waited := time.monotonic() - start) < self.seconds:
            yield waited
            if self.cancelled.wait(min(pause, self.seconds - waited)):
                return
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def ended(self, wanted: str) -> str:
        """Why the wait is over without what was wanted."""
        return "cancelled" if self.cancelled.is_set() else f"not {wanted} within {self.seconds:g} s"


def until_ready(
    api: ApiServer, resource: Resource, inputs: Mapping[str, Any], live: Object, patience: Patience
) -> Object:
    """The object once it is ready. Raises NotReady, and AnnotationError for annotations that mean nothing."""
    judged = judge(inputs, live)
    metadata = live["metadata"]
    explained, said = 0.0, ""
    for waited in patience.pauses():
        if judged.ready or judged.failed:
            break
        if waited - explained >= _EXPLAIN_EVERY_SECONDS or not said:
            explained = waited
            message = "; ".join([f"waiting: {judged.detail}", *explain(api, live)[:2]])
            if message != said:
                patience.report(message)
                said = message
        found = api.find(resource, metadata.get("namespace"), metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            raise NotReady(live, [f"{identifier(live)} was deleted by somebody else while it was awaited"])
        live = found
        judged = judge(inputs, live)
    if said:
        patience.report("")
    return _conclude(api, live, judged, patience)


def _conclude(api: ApiServer, live: Object, judged: Readiness, patience: Patience) -> Object:
    if judged.ready:
        return live
    outcome = "failed" if judged.failed else patience.ended("ready")
    reason = f"{outcome}: {judged.detail}"
    raise NotReady(live, [f"{live['kind']} {identifier(live)} {reason}", *explain(api, live)])


def until_gone(api: ApiServer, resource: Resource, live: Object, patience: Patience) -> None:
    """Returns once the object is gone or another has taken its name. Raises NotGone."""
    metadata = live["metadata"]
    held = said = ""
    for _ in patience.pauses():
        found = api.find(resource, metadata.get("namespace"), metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            if said:
                patience.report("")
            return
        held = _held_by(found)
        if held != said:
            patience.report(f"waiting until it is gone{held}")
            said = held
    raise NotGone(f"{live['kind']} {identifier(live)} still exists, {patience.ended('gone')}{held}")


def _held_by(live: Mapping[str, Any]) -> str:
    finalizers = live["metadata"].get("finalizers", [])
    dependants = ["what it owns, which goes first"] if _FOREGROUND in finalizers else []
    others = [f"finalizer {name}" for name in finalizers if name != _FOREGROUND]
    return f"; held by {', '.join([*dependants, *others])}" if finalizers else ""
