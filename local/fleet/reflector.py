"""A live copy of one collection of API objects: list once, then watch, as client-go's reflector does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import httpx
from pydantic import ValidationError

from local.fleet.api import Api, ApiError
from local.fleet.kube import ApiObject

log = logging.getLogger(__name__)

_GONE = 410
_FIRST_RETRY_SECONDS = 0.2
_LAST_RETRY_SECONDS = 5.0


T = TypeVar("T", bound=ApiObject)
Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""


class Reflector(Generic[T]):
    """Keeps a copy of the collection at `path` and calls `changed(key, before, after)` for each difference.

    A watch that ends is resumed from its last resource version; one that the server can no longer resume
    (410) is listed again, and objects that vanished in between are reported as removed. Callbacks run in the
    event loop and must not block.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        model: type[T],
        changed: Callable[[Key, T | None, T | None], None],
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self._api = api
        self._path = path
        self._model = model
        self._changed = changed
        self._parameters = dict(parameters) if parameters is not None else {}
        self._items: dict[Key, T] = {}
        self.synced = asyncio.Event()

    def get(self, namespace: str, name: str) -> T | None:
        return self._items.get((namespace, name))

    def values(self) -> Iterator[T]:
        return iter(list(self._items.values()))

    async def run(self) -> None:
        """Follow the collection until cancelled. Failures of the connection are retried for ever."""
        delay = _FIRST_RETRY_SECONDS
        version = ""
        while True:
            try:
                if version == "":
                    version = await self._list()
                    self.synced.set()
                    delay = _FIRST_RETRY_SECONDS
                version = await self._follow(version)
            except (httpx.HTTPError, ApiError) as error:
                log.warning("watch of %s: %s; trying again in %.1f s", self._path, error, delay)
                if isinstance(error, ApiError):
                    version = ""
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY_SECONDS)

    async def _list(self) -> str:
        answer = await self._api.get(self._path, **self._parameters)
        found: dict[Key, T] = {}
        for item in answer.get("items") or []:
            parsed = self._parse(item)
            if parsed is not None:
                found[_key(parsed)] = parsed
        for key in [key for key in self._items if key not in found]:
            self._tell(key, self._items.pop(key), None)
        for key, item in found.items():
            self._replace(key, item)
        return str(answer["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> str:
        """Apply events from `version` on; the version to resume from, or "" when only a new list helps."""
        try:
            async for event in self._api.watch(self._path, version, **self._parameters):
                if event["type"] == "ERROR":
                    status = event["object"]
                    if status.get("code") != _GONE:
                        log.warning("watch of %s: %s", self._path, status.get("message"))
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                parsed = None if event["type"] == "BOOKMARK" else self._parse(event["object"])
                if parsed is not None:
                    self._apply(event["type"], parsed)
        except (httpx.TransportError, ValueError) as error:
            # The API server went away, perhaps in mid-line; the version is still good.
            log.debug("watch of %s ended: %s", self._path, error)
            await asyncio.sleep(_FIRST_RETRY_SECONDS)
        return version

    def _parse(self, item: dict[str, Any]) -> T | None:
        try:
            return self._model.model_validate(item)
        except ValidationError as error:
            log.error("%s: cannot read %s: %s", self._path, item.get("metadata", {}).get("name"), error)
            return None

    def _apply(self, kind: str, item: T) -> None:
        key = _key(item)
        if kind == "DELETED":
            self._items.pop(key, None)
            self._tell(key, item, None)
        else:
            self._replace(key, item)

    def _replace(self, key: Key, item: T) -> None:
        before = self._items.get(key)
        self._items[key] = item
        if before != item:
            self._tell(key, before, item)

    def _tell(self, key: Key, before: T | None, after: T | None) -> None:
        try:
            self._changed(key, before, after)
        except Exception:
            # What goes wrong with one object must not end every other pod's processes.
            log.exception("%s: %s", self._path, "/".join(key))


def _key(item: ApiObject) -> Key:
    return item.metadata.namespace, item.metadata.name
