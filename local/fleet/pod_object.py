"""What the fleet changes of a pod's object beside its status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import httpx

from local.fleet.api import Api, ApiError
from local.fleet.kube import Metadata

_RETRY_SECONDS = 0.5
_NOT_FOUND, _CONFLICT = 404, 409


def pod_path(metadata: Metadata) -> str:
    """The API path of a pod."""
    return f"/api/v1/namespaces/{metadata.namespace}/pods/{metadata.name}"


def removal(uid: str) -> dict[str, object]:
    """The options that remove a pod's object once nothing of it runs, and no other pod of that name."""
    return {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": uid},
    }


class PodObject:
    """A pod's object in the API. Requests are repeated until the API server has answered."""

    def __init__(self, api: Api, metadata: Metadata) -> None:
        self._api = api
        self._uid = metadata.uid
        self.path = pod_path(metadata)

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        """Add annotations."""
        body = {"metadata": {"uid": self._uid, "annotations": dict(annotations)}}
        await self._insist(lambda: self._api.patch(self.path, body))

    async def remove(self) -> None:
        """Remove the object: the last step of a deletion, which the API leaves to the kubelet."""
        await self._insist(lambda: self._api.delete(self.path, removal(self._uid)))

    @staticmethod
    async def _insist(request: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await request()
                return
            except ApiError as error:
                if error.status in (_NOT_FOUND, _CONFLICT):
                    return  # the pod is gone, or is another by now
            except httpx.HTTPError:
                pass
            await asyncio.sleep(_RETRY_SECONDS)
