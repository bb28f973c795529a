"""Real loopback ports for the ports that containers believe they listen on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping

FIRST_PORT = 10_000
LAST_PORT = 29_999
"""Below 32768, where Linux picks the ports of outgoing connections, and below 32767 downwards, where kwokctl
looks for the control plane's."""


class NoFreePort(RuntimeError):
    """Every port of the range is taken."""


class PortAllocator:
    """Hands out ports of 127.0.0.1 that nothing listens on, none of them twice.

    The search goes round the range and never back, so a port that a pod has given up is the last to be handed
    out again: a client that still knows the old address meets a closed port, not another pod. It starts at a
    place that differs per process, so that two fleets of one machine do not meet between the choice of a port
    and its use.
    """

    def __init__(self, first: int = FIRST_PORT, last: int = LAST_PORT, start: int | None = None) -> None:
        self._first = first
        self._count = last - first + 1
        self._next = (os.getpid() * 97 if start is None else start - first) % self._count
        self._taken: set[int] = set()

    def allocate(self) -> int:
        """A free port, which is the caller's until `release`. Raises NoFreePort."""
        for _ in range(self._count):
            port = self._first + self._next
            self._next = (self._next + 1) % self._count
            if self._take(port):
                return port
        raise NoFreePort(
            f"no free port on 127.0.0.1 between {self._first} and {self._first + self._count - 1}; "
            "end what listens there"
        )

    def reclaim(self, port: int) -> int:
        """`port` if it can still be had, any other free port if not: keeps addresses across a restart."""
        return port if self._take(port) else self.allocate()

    def holds(self, port: int) -> bool:
        """Whether this allocator has handed out `port`."""
        return port in self._taken

    def release(self, ports: Iterable[int]) -> None:
        """Give ports back."""
        self._taken.difference_update(ports)

    def _take(self, port: int) -> bool:
        if port in self._taken or not is_free(port):
            return False
        self._taken.add(port)
        return True


def is_free(port: int) -> bool:
    """Whether a server could bind 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections that linger in TIME_WAIT do not stop a server; a listener does, with this option too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


ADDRESS_ANNOTATION = "local.llm-platform/address"
"""The real address of a pod's first port, and with `-<port>` appended that of the named port. On a Service,
the address at which it is reached from this machine."""


def address_annotations(ports: Mapping[int, int], first: int | None) -> dict[str, str]:
    """The annotations that tell where a pod's ports are: `ports` maps container port to real port."""
    found = {f"{ADDRESS_ANNOTATION}-{port}": f"127.0.0.1:{real}" for port, real in ports.items()}
    if first is not None:
        found[ADDRESS_ANNOTATION] = f"127.0.0.1:{ports[first]}"
    return found


def annotated_ports(annotations: Mapping[str, str]) -> dict[int, int]:
    """The inverse of `address_annotations`: container port to real port."""
    found: dict[int, int] = {}
    for name, address in annotations.items():
        host, _, real = address.rpartition(":")
        port = name.removeprefix(f"{ADDRESS_ANNOTATION}-")
        if name != port and port.isdecimal() and host == "127.0.0.1" and real.isdecimal():
            found[int(port)] = int(real)
    return found
