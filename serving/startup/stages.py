"""The stages of a replica's start, from what Kubernetes and the engine's log say of it. Pure.

Kubernetes keeps whole seconds; the engine's own durations are finer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serving.engines.engine import StartLog
from serving.names import NAME_LABEL

ENGINE_CONTAINER = "engine"

_PULLED = re.compile(r"Successfully pulled image .* in (?P<duration>[\dhmsµ.]+)")
_PRESENT = re.compile(r"already present on machine")
_PART = re.compile(r"([\d.]+)(h|ms|m|s|µs)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6}


@dataclass(frozen=True)
class StartUp:
    """Seconds of each stage of one replica; None where it has not come to it or nobody says.

    scheduling: from its creation to a node, with buying one. pulling: the image, a part of preparing.
    preparing: from the node to the engine's process, with volumes. loading, compiling, capturing: by the
    engine's log. remaining: of the time from its process to ready, what the log names no time for: imports,
    device, profiling, and the wait for the next probe. ready: all of it, up to the last time it became ready.
    from_cache: whether compiled code was read. restarts: of the engine; the figures are of its last start.
    """

    model: str
    pod: str
    scheduling: float | None
    pulling: float | None
    preparing: float | None
    loading: float | None
    compiling: float | None
    capturing: float | None
    remaining: float | None
    ready: float | None
    from_cache: bool
    restarts: int


def start_up(
    pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]], log: Sequence[str], told: StartLog
) -> StartUp:
    """The stages of a pod of an engine. events: those of its namespace. log: lines of its engine. told: how
    that engine tells its stages."""
    metadata, status = pod["metadata"], pod.get("status", {})
    created = _time(metadata["creationTimestamp"])
    scheduled, ready = _since(status, "PodScheduled"), _since(status, "Ready")
    container = next(
        (item for item in status.get("containerStatuses", []) if item["name"] == ENGINE_CONTAINER), {}
    )
    started = _time(container.get("state", {}).get("running", {}).get("startedAt"))
    loading, compiling, capturing = (
        _longest(pattern, log) for pattern in (told.weights, told.compiled, told.captured)
    )
    said = sum(seconds for seconds in (loading, compiling, capturing) if seconds is not None)
    running = _between(started, ready)
    return StartUp(
        model=metadata.get("labels", {}).get(NAME_LABEL, ""),
        pod=metadata["name"],
        scheduling=_between(created, scheduled),
        pulling=_pulling(metadata["uid"], events),
        preparing=_between(scheduled, started),
        loading=loading,
        compiling=compiling,
        capturing=capturing,
        # Whole seconds against fractions: it may come out just below zero.
        remaining=None if running is None else max(0.0, running - said),
        ready=_between(created, ready),
        from_cache=told.from_cache is not None and any(told.from_cache.search(line) for line in log),
        restarts=container.get("restartCount", 0),
    )


def until_started(lines: Iterable[str], limit: int, told: StartLog) -> list[str]:
    """The lines of a log up to the end of the start, `limit` at most."""
    found: list[str] = []
    for line in lines:
        found.append(line)
        if told.started.search(line) or len(found) >= limit:
            break
    return found


def seconds_of(duration: str) -> float:
    """Seconds of a duration as Go writes it, such as 2m3.5s."""
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def _pulling(uid: str, events: Iterable[Mapping[str, Any]]) -> float | None:
    for event in events:
        if event.get("involvedObject", {}).get("uid") != uid or event.get("reason") != "Pulled":
            continue
        message = event.get("message", "")
        if found := _PULLED.search(message):
            return seconds_of(found["duration"])
        if _PRESENT.search(message):
            return 0.0
    return None


def _longest(pattern: re.Pattern[str] | None, log: Iterable[str]) -> float | None:
    """Several workers each say it; the start waits for the slowest."""
    if pattern is None:
        return None
    found = [float(match[1]) for line in log if (match := pattern.search(line))]
    return max(found, default=None)


def _since(status: Mapping[str, Any], kind: str) -> datetime | None:
    for condition in status.get("conditions", []):
        if condition["type"] == kind and condition["status"] == "True":
            return _time(condition.get("lastTransitionTime"))
    return None


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else max(0.0, (end - begin).total_seconds())
