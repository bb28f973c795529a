"""The port of the fleet's logs in each node's status: the API server asks there for `kubectl logs`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import httpx

from local.fleet.api import Api, ApiError
from local.fleet.kube import Node

AGAIN_SECONDS = 1.0
"""Between two attempts to write the port into a node's status; usually the first succeeds. The next event of
the node may be 20 minutes away, which is too late to try again."""

log = logging.getLogger(__name__)


class LogPort:
    """Writes `port` into the status of nodes, and tells whose logs the API server finds.

    node: the node of a name as it was last seen; None once it is gone.
    """

    def __init__(self, api: Api, port: int, node: Callable[[str], Node | None]) -> None:
        self._api = api
        self.port = port
        self._node = node
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def is_known(self, node: Node) -> bool:
        """Whether the API server finds the logs of the node's pods; without a port it asks at 10250."""
        return node.status.daemon_endpoints.kubelet_endpoint.port == self.port

    def announce(self, node: Node) -> None:
        """Write the port into the node's status, again and again until the node has it or is gone."""
        name = node.metadata.name
        if name not in self._tasks and not self.is_known(node):
            self._tasks[name] = asyncio.create_task(self._announce(name))
            self._tasks[name].add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _announce(self, name: str) -> None:
        status = {"daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}}}
        while (node := self._node(name)) is not None and not self.is_known(node):
            try:
                await self._api.patch(f"/api/v1/nodes/{name}/status", {"status": status})
            except (ApiError, httpx.HTTPError) as error:
                log.debug("node %s: the port of its logs was not written: %s", name, error)
            await asyncio.sleep(AGAIN_SECONDS)
