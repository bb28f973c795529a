"""Sends a request as it is, and reads what comes back."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from tests.serving.gateway.fuzz.requests import Sent


@dataclass(frozen=True)
class Reply:
    """status: None if the connection was closed without one."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes


ANSWER_SECONDS = 20
UNANSWERED_SECONDS = 1
"""CONNECT without a body opens a tunnel that nobody fills: the gateway waits for more, for a minute."""


def exchange(address: str, sent: Sent) -> Reply:
    host, _, port = address.rpartition(":")
    seconds = UNANSWERED_SECONDS if sent.method == "CONNECT" else ANSWER_SECONDS
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(sent.raw())
        response = http.client.HTTPResponse(connection, method=sent.method)
        try:
            response.begin()
        except (http.client.BadStatusLine, ConnectionResetError):
            return Reply(None, {}, b"")
        except TimeoutError:
            assert sent.method == "CONNECT", sent
            return Reply(None, {}, b"")
        body = response.read()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, body)
