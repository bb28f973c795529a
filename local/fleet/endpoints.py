"""Files that tell the processes of this machine where Services are, kept as EndpointSlices change.

One file per Service port that an Envoy asked for (endpoint discovery by file), and one with all names for the
resolver inside Python containers. Files are replaced by a rename, so that a reader never sees half of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from local.fleet.discovery import DelayedRemoval, Resolved, Target, resolve
from local.fleet.envoy import load_assignment
from local.fleet.kube import EndpointSlice, Service
from local.fleet.pod_model import Pod

_SETTLE_SECONDS = 0.02
# A rollout changes a pod, its annotation and its slice within milliseconds: one pass for all of them.

_SERVICE_LABEL = "kubernetes.io/service-name"


class Endpoints:
    """Keeps the files under `folder`. `changed` is cheap to call for every event of the three collections."""

    def __init__(
        self,
        folder: Path,
        removal_delay: float,
        collections: Callable[[], tuple[Iterable[Service], Iterable[EndpointSlice], Iterable[Pod]]],
        api_server: tuple[str, int],
    ) -> None:
        self._folder = folder
        self._removal_delay = removal_delay
        self._collections = collections
        self._api_server = api_server
        self._wanted: set[Target] = set()
        self._sets: dict[Target, DelayedRemoval] = {}
        self._headless: dict[tuple[str, str], bool] = {}
        self._written: dict[Path, bytes] = {}
        self._timer: asyncio.TimerHandle | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def names_file(self) -> Path:
        """Every Service name with its addresses, for local/fleet/resolver."""
        return self._folder / "names.json"

    def file(self, target: Target) -> Path:
        """The endpoint discovery file of a Service's port; it exists from now on and is kept."""
        path = self._folder / target.namespace / f"{target.service}-{target.port}.json"
        if target not in self._wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._wanted.add(target)
            self._write_target(target)
        return path

    def changed(self) -> None:
        """Something that endpoints depend on has changed."""
        self._schedule(_SETTLE_SECONDS)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + delay
        if self._timer is not None:
            if not self._timer.cancelled() and self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = loop.call_later(delay, self._refresh)

    def _refresh(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        found = self._resolve()
        self._headless = {name: resolved.headless for name, resolved in found.items()}
        current = {
            Target(*name, port): items for name, item in found.items() for port, items in item.ports.items()
        }
        for target in self._sets.keys() | current.keys():
            entry = self._sets.setdefault(target, DelayedRemoval(self._removal_delay))
            entry.update(current.get(target, frozenset()), now)
        for target in self._wanted:
            self._write_target(target)
        self._write_names()
        later = [entry.next_change() for entry in self._sets.values()]
        next_change = min((when for when in later if when is not None), default=None)
        if next_change is not None:
            self._schedule(max(next_change - now, 0.0) + 0.001)

    def _resolve(self) -> dict[tuple[str, str], Resolved]:
        services, slices, pods = self._collections()
        by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
        for item in slices:
            name = item.metadata.labels.get(_SERVICE_LABEL, "")
            by_service.setdefault((item.metadata.namespace, name), []).append(item)
        by_uid = {pod.metadata.uid: pod for pod in pods}
        found: dict[tuple[str, str], Resolved] = {}
        for service in services:
            name = (service.metadata.namespace, service.metadata.name)
            found[name] = resolve(service, by_service.get(name, []), by_uid)
        # The API server has no pod and no slice; it listens on this machine.
        found["default", "kubernetes"] = Resolved(headless=False, ports={443: frozenset({self._api_server})})
        return found

    def _visible(self, target: Target) -> list[tuple[str, int]]:
        entry = self._sets.get(target)
        return [] if entry is None else sorted(entry.visible(asyncio.get_running_loop().time()))

    def _write_target(self, target: Target) -> None:
        path = self._folder / target.namespace / f"{target.service}-{target.port}.json"
        self._write(path, load_assignment(target, self._visible(target)))

    def _write_names(self) -> None:
        names: dict[str, dict[str, Any]] = {}
        for (namespace, name), headless in sorted(self._headless.items()):
            names[f"{namespace}/{name}"] = {"headless": headless, "ports": {}}
        for target in sorted(self._sets):
            entry = names.get(f"{target.namespace}/{target.service}")
            if entry is not None:
                entry["ports"][str(target.port)] = self._visible(target)
        self._write(self.names_file, names)

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        data = orjson.dumps(document)
        if self._written.get(path) == data:
            return
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
        self._written[path] = data
