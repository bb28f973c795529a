"""The fastest upstream that Python has to offer: fixed replies to chat completions, streamed or whole.

`python -m local.gateway_benchmark.upstream PORT` serves 127.0.0.1:PORT until it is ended. It reads only as
much of HTTP as the gateways send; a real engine is a hundred times slower.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Literal, cast

import uvloop

MODEL = "chat"
Shape = Literal["whole", "streamed"]
"""How a reply comes."""

EVENTS = 20
"""Events of a streamed reply, sent at once."""

_TEXT = "token " * EVENTS


def whole_reply() -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": _TEXT},
                    "finish_reason": "length",
                }
            ],
            "usage": {"prompt_tokens": 500, "completion_tokens": EVENTS, "total_tokens": 500 + EVENTS},
        }
    ).encode()
    return _head("application/json", f"content-length: {len(body)}") + body


def streamed_reply() -> bytes:
    events = [
        json.dumps(
            {
                "id": "chatcmpl-benchmark",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": MODEL,
                "choices": [{"index": 0, "delta": {"content": "token "}, "finish_reason": None}],
            }
        )
        for _ in range(EVENTS)
    ]
    chunks = [f"data: {event}\n\n".encode() for event in [*events, "[DONE]"]]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return _head("text/event-stream", "transfer-encoding: chunked") + body


def _head(content_type: str, length: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{length}\r\n\r\n".encode()


WHOLE, STREAMED = whole_reply(), streamed_reply()
MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()
OTHER = _head("application/json", f"content-length: {len(MODELS)}") + MODELS
"""For a router's questions: which models, is it healthy."""


class Upstream(asyncio.Protocol):
    """One connection; requests on it are answered one after another."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        while True:
            request = split_request(self._received)
            if request is None:
                return
            head, body, self._received = request
            if not head.startswith(b"POST"):
                self._transport.write(OTHER)
            elif b'"stream":true' in body or b'"stream": true' in body:
                self._transport.write(STREAMED)
            else:
                self._transport.write(WHOLE)


def split_request(received: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Head, body and what follows of the first request; None while it is incomplete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    start = end + 4
    if b"transfer-encoding: chunked" in head:
        finish = received.find(b"0\r\n\r\n", start)
        return None if finish < 0 else (received[:end], received[start:finish], received[finish + 5 :])
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    if len(received) < start + length:
        return None
    return received[:end], received[start : start + length], received[start + length :]


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
