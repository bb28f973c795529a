"""Keeps a pod's status in the API equal to what the pod's runner says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import httpx

from local.fleet.api import STRATEGIC, Api, ApiError

log = logging.getLogger(__name__)

_NOT_FOUND = 404
_RETRY_SECONDS = 0.5


class StatusPublisher:
    """Sends the latest status whenever it has changed; changes during a request go together after it."""

    def __init__(self, api: Api, path: str, status: Callable[[], dict[str, Any]]) -> None:
        self._api = api
        self._path = f"{path}/status"
        self._status = status
        self._dirty = asyncio.Event()
        self._clean = asyncio.Event()
        self._clean.set()
        self._sent: dict[str, Any] | None = None

    def changed(self) -> None:
        """The status may have changed."""
        self._dirty.set()
        self._clean.clear()

    async def flush(self) -> None:
        """Return when the API server knows the latest status, or the pod no longer exists."""
        await self._clean.wait()

    async def run(self) -> None:
        """Send until cancelled. An API server that is away is asked again for ever."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            status = self._status()
            if status != self._sent and not await self._send(status):
                continue
            if not self._dirty.is_set():
                self._clean.set()

    async def _send(self, status: dict[str, Any]) -> bool:
        try:
            await self._api.patch(self._path, status, STRATEGIC)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                log.warning("status of %s: %s", self._path, error)
        except httpx.HTTPError as error:
            log.debug("status of %s: %s", self._path, error)
            await asyncio.sleep(_RETRY_SECONDS)
            self._dirty.set()
            return False
        self._sent = status
        return True
