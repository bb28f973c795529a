"""Events on pods, for a person who runs `kubectl describe pod`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from local.fleet.api import Api, ApiError
from local.fleet.pod_model import Pod

log = logging.getLogger(__name__)

_REPEAT_SECONDS = 30.0
# A failing probe repeats its event every few seconds; the API hears of the count this often.

_REMEMBERED = 1000  # distinct events that a repetition is recognised among


@dataclass
class _Sent:
    name: str
    count: int
    at: float


class Events:
    """Sends events in the background, one at a time, and counts repetitions as kubelet does."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._queue: asyncio.Queue[tuple[str, Mapping[str, Any], str]] = asyncio.Queue()
        self._sent: dict[tuple[str, str, str], _Sent] = {}
        self._serial = 0

    def emit(
        self, pod: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str, container: str = ""
    ) -> None:
        """Record an event. It is lost if the API server does not take it: events are for people."""
        namespace = pod.metadata.namespace
        key = (pod.metadata.uid, reason, f"{container}:{message}")
        now = asyncio.get_running_loop().time()
        sent = self._sent.get(key)
        if sent is not None:
            sent.count += 1
            if now - sent.at >= _REPEAT_SECONDS:
                sent.at = now
                body = {"count": sent.count, "lastTimestamp": _timestamp()}
                self._queue.put_nowait((f"/api/v1/namespaces/{namespace}/events/{sent.name}", body, "patch"))
            return
        self._serial += 1
        name = f"{pod.metadata.name[:200]}.{int(datetime.now(UTC).timestamp() * 1000):x}{self._serial:x}"
        if len(self._sent) >= _REMEMBERED:
            self._sent.pop(next(iter(self._sent)))
        self._sent[key] = _Sent(name=name, count=1, at=now)
        body = _event(pod, kind, reason, message, container, name)
        self._queue.put_nowait((f"/api/v1/namespaces/{namespace}/events", body, "post"))

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            path, body, verb = await self._queue.get()
            try:
                await (self._api.post(path, body) if verb == "post" else self._api.patch(path, body))
            except (ApiError, httpx.HTTPError) as error:
                log.debug("event lost: %s", error)


def _event(pod: Pod, kind: str, reason: str, message: str, container: str, name: str) -> dict[str, Any]:
    now = _timestamp()
    reference = {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": pod.metadata.namespace,
        "name": pod.metadata.name,
        "uid": pod.metadata.uid,
    }
    if container:
        reference["fieldPath"] = f"spec.containers{{{container}}}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": pod.metadata.namespace},
        "involvedObject": reference,
        "type": kind,
        "reason": reason,
        "message": message[:1024],
        "source": {"component": "local-fleet", "host": pod.spec.node_name},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
