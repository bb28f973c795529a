"""HTTP metrics with the names and labels of prometheus-fastapi-instrumentator, which vLLM uses."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNCOUNTED = frozenset({"/metrics", "/health", "/load", "/ping", "/version", "/server_info"})
"""Paths that probes and scrapers ask for: vLLM leaves them out."""

NO_HANDLER = "none"
FINE_BOUNDS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60,
)  # fmt: skip
COARSE_BOUNDS = (0.1, 0.5, 1)


class HttpMetrics:
    """Counts requests, their duration up to the last byte, and the sizes of bodies.

    paths: the known ones; every other request has the handler "none".
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry, paths: frozenset[str]) -> None:
        self._app = app
        self._paths = paths
        self._requests = Counter(
            "http_requests", "Requests answered", ("method", "status", "handler"), registry=registry
        )
        self._request_size = Summary(
            "http_request_size_bytes", "Size of request bodies", ("handler",), registry=registry
        )
        self._response_size = Summary(
            "http_response_size_bytes", "Size of response bodies", ("handler",), registry=registry
        )
        self._fine = Histogram(
            "http_request_duration_highr_seconds",
            "Duration of requests, all handlers together",
            registry=registry,
            buckets=FINE_BOUNDS,
        )
        self._coarse = Histogram(
            "http_request_duration_seconds",
            "Duration of requests",
            ("method", "handler"),
            registry=registry,
            buckets=COARSE_BOUNDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNCOUNTED:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        size = 0

        async def counted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                size = next((int(v) for k, v in message["headers"] if k == b"content-length"), 0)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            known = scope["path"] in self._paths and status != 405
            # A path with a slash too many is redirected, and counted by the name it came with.
            handler = scope["path"] if known or status == 307 else NO_HANDLER
            self._observe(scope, handler, status, size, time.perf_counter() - started)

    def _observe(self, scope: Scope, handler: str, status: int, size: int, seconds: float) -> None:
        asked = next((int(v) for k, v in scope["headers"] if k == b"content-length"), 0)
        method = scope["method"]
        self._requests.labels(method, f"{status // 100}xx", handler).inc()
        self._request_size.labels(handler).observe(asked)
        self._response_size.labels(handler).observe(size)
        self._fine.observe(seconds)
        self._coarse.labels(method, handler).observe(seconds)
