"""A server of the standard library that runs beside a test."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[None]:
    """Serves on a thread of its own, and is closed at the end of the block."""
    with server:
        # The end waits for it: as long as one poll.
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
