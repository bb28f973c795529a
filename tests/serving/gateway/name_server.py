"""A name server that stands for cluster DNS: a headless Service leads to its ready pods, or to nothing."""

from __future__ import annotations

import socketserver
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.listening import listening

HEADER_BYTES = 12
A_RECORD = 1
ANSWER_FLAGS = 0x8580  # an authoritative answer, no error: also for a name that exists and has no address


@dataclass
class Zone:
    """addresses: what every name leads to now. questions: how often an address was asked for."""

    port: int = 0
    addresses: list[str] = field(default_factory=list)
    questions: int = 0


def answer(query: bytes, zone: Zone) -> bytes:
    """The answer to one question (RFC 1035, 4.1), with a lifetime of 1 s."""
    end = query.index(b"\0", HEADER_BYTES) + 5
    (kind,) = struct.unpack_from(">H", query, end - 4)
    addresses = zone.addresses if kind == A_RECORD else []
    zone.questions += kind == A_RECORD
    header = query[:2] + struct.pack(">HHHHH", ANSWER_FLAGS, 1, len(addresses), 0, 0)
    records = [
        # 0xC00C points at the question's name.
        struct.pack(">HHHIH4B", 0xC00C, A_RECORD, 1, 1, 4, *map(int, address.split(".")))
        for address in addresses
    ]
    return header + query[HEADER_BYTES:end] + b"".join(records)


@contextmanager
def naming(*addresses: str) -> Iterator[Zone]:
    """The server on a loopback port, answering every name with `addresses` until the test changes them."""
    zone = Zone(addresses=list(addresses))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, connection = self.request
            connection.sendto(answer(query, zone), self.client_address)

    server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
    zone.port = server.server_address[1]
    with listening(server):
        yield zone
