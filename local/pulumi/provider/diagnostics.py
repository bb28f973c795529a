"""Lines that people see: the engine shows them beside the resource they are about."""

from __future__ import annotations

from typing import Any, Final

import grpc

from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

STAND_IN: Final = (
    "A local stand-in for Pulumi's Kubernetes provider is in use: the official plugin is not installed here. "
    "It talks to API servers on this machine only."
)


class Diagnostics:
    """The engine's log. A lost line never fails an operation."""

    def __init__(self, engine_address: str) -> None:
        self._engine: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine_address))

    def info(self, message: str, urn: str = "") -> None:
        self._log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn))

    def warning(self, message: str, urn: str = "") -> None:
        self._log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=message, urn=urn))

    def status(self, message: str, urn: str) -> None:
        """Shows a line while an operation runs; the next one replaces it, an empty one removes it."""
        self._log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=True))

    def _log(self, request: engine_pb2.LogRequest) -> None:
        try:
            self._engine.Log(request, timeout=5.0)
        except grpc.RpcError:
            return
