"""What a Pulumi plugin process is: a gRPC server that prints its port and lives as long as the engine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc

_MESSAGE_BYTES: Final = 400 * 1024 * 1024
"""Pulumi's own limit; gRPC's default of 4 MiB is less than the state of a large custom resource
definition."""

_WORKERS: Final = 64
"""Threads wait for the cluster most of the time; Pulumi runs 4 operations per core unless told otherwise."""

_PARENT_CHECK_SECONDS: Final = 1.0


def serve(register: Callable[[grpc.Server], object]) -> None:
    """Serves until a signal comes or the engine is gone, and then ends without a word.

    `register` adds the services. The port on the first line of standard output is the plugin protocol.
    """
    server = grpc.server(
        ThreadPoolExecutor(max_workers=_WORKERS),
        options=[
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ],
    )
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    parent = os.getppid()
    print(port, flush=True)
    # An engine that was killed cannot close its plugins; they see it by their new parent.
    while not stopped.wait(_PARENT_CHECK_SECONDS) and os.getppid() == parent:
        pass
    server.stop(grace=None)
    sys.stdout.flush()
    os._exit(0)  # threads that still wait for the cluster must not keep the process
