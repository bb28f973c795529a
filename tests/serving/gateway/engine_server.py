"""A server that stands for one engine: it says which replica it is, and streams at the pace of the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.listening import listening


@dataclass
class Engine:
    """What a test sees of the engine, and the pace of its streams.

    requests: path, headers and body of each request that arrived.
    proceed: set to let a stream go on after its first event.
    refuse_first: connections to cut before an answer. full: answers `full_status`, as with a full queue.
    pieces: what to answer with, if anything special, each piece written by itself.
    """

    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    proceed: threading.Event = field(default_factory=threading.Event)
    refuse_first: int = 0
    full: bool = False
    full_status: int = 503
    pieces: Sequence[bytes] = ()


@contextmanager
def serving() -> Iterator[Engine]:
    engine = Engine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the other side

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test reads `engine.requests`."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            engine.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if engine.refuse_first > 0:
                engine.refuse_first -= 1
                self.close_connection = True
                self.connection.close()
                return
            if engine.full:
                self._answer(json.dumps({"error": {"message": "queue is full"}}).encode(), engine.full_status)
            elif engine.pieces:
                self._start_chunks()
                for piece in engine.pieces:
                    self._chunk(piece)
                self._chunk(b"")
            elif json.loads(body).get("stream"):
                self._stream()
            else:
                self._answer(json.dumps({"port": engine.port}).encode())

        def do_GET(self) -> None:
            engine.requests.append((self.path, {}, b""))
            self._answer(b"vllm:num_requests_running 0")

        def _answer(self, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _start_chunks(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()

        def _stream(self) -> None:
            self._start_chunks()
            self._chunk(b"data: first\n\n")
            if engine.proceed.wait(timeout=20):
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    engine.port = server.server_address[1]
    with listening(server):
        try:
            yield engine
        finally:
            engine.proceed.set()
