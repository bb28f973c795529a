"""Connections to the gateway on which nobody says anything."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from local.load.run import Run

CONNECTIONS = 20_000
"""As many as a gateway pod takes (bootstrap.py)."""

AT_ONCE = 200

OTHER_FILES = 1_000
"""Descriptors that the load itself needs."""


async def hold_idle_connections(run: Run) -> Callable[[], Awaitable[None]]:
    """Opens them and returns how to close them. Fewer where the system lets a process have fewer files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = CONNECTIONS if most == resource.RLIM_INFINITY else min(CONNECTIONS, most - OTHER_FILES)
    address = urlsplit(run.target.gateway)
    assert address.hostname is not None
    held: list[socket.socket] = []
    with contextlib.suppress(OSError):  # refused: the gateway has as many as it takes
        while len(held) < wanted:
            batch = [_connected(address.hostname, address.port or 80) for _ in range(AT_ONCE)]
            held += await asyncio.gather(*batch)

    async def close() -> None:
        for number, connection in enumerate(held):
            connection.close()
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    return close


async def _connected(host: str, port: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (host, port))
    except BaseException:
        connection.close()
        raise
    return connection
