"""The HTTP routes of the emulated server. The routes outside /v1 are open even with --api-key, as in vLLM."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Send

from local.engine import answers
from local.engine.documentation import documentation
from local.engine.engine_loop import EngineLoop
from local.engine.errors import (
    ApiError,
    json_response,
)
from local.engine.generation_routes import GenerationRoutes
from local.engine.http_metrics import HttpMetrics
from local.engine.keys import RequireKey
from local.engine.pooling_routes import PoolingRoutes
from local.engine.server_settings import Server
from local.engine.settings import Engine
from local.engine.token_routes import TokenRoutes
from local.engine.version import ENGINE_VERSION, emulator_facts


class Routes:
    """The handlers, with the engine they answer from."""

    def __init__(self, engine: Engine, server: Server, registry: CollectorRegistry) -> None:
        self.engine = engine
        self.server = server
        self.registry = registry
        self.started = int(time.time())

    async def models(self, http: HttpRequest) -> Response:
        length = self.engine.max_model_len
        cards = [
            self.model_card(name, self.engine.model.name, None, length) for name in self.server.served_names
        ]
        loaded = () if self.server.adapters is None else self.server.adapters.loaded
        cards += [self.model_card(adapter.name, adapter.path, adapter.parent, None) for adapter in loaded]
        return json_response({"object": "list", "data": cards})

    def model_card(
        self, name: str, root: str, parent: str | None, max_model_len: int | None
    ) -> dict[str, object]:
        permission = {
            "id": f"modelperm-{answers.new_identity()}",
            "object": "model_permission",
            "created": self.started,
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }
        return {
            "id": name,
            "object": "model",
            "created": self.started,
            "owned_by": "vllm",
            "root": root,
            "parent": parent,
            "max_model_len": max_model_len,
            "permission": [permission],
        }

    async def health(self, http: HttpRequest) -> Response:
        """200 for as long as the process serves, during shutdown too; vLLM's check does not ask the GPU."""
        return Response()

    async def version(self, http: HttpRequest) -> Response:
        return json_response({"version": ENGINE_VERSION, **emulator_facts(self.engine)})

    async def load(self, http: HttpRequest) -> Response:
        """Counts only with --enable-server-load-tracking, which the emulator does not have."""
        return json_response({"server_load": 0})

    async def metrics(self, http: HttpRequest) -> Response:
        """Always the plain text format, whatever is asked for: vLLM's route for GET does not negotiate. HEAD
        falls through to another one, which does."""
        kind = CONTENT_TYPE_PLAIN_0_0_4 if http.method == "HEAD" else CONTENT_TYPE_LATEST
        return Response(generate_latest(self.registry), headers={"content-type": kind})


async def api_error(http: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def http_error(http: HttpRequest, error: Exception) -> Response:
    """Unknown paths and methods: FastAPI's shape, which is what vLLM answers."""
    assert isinstance(error, HTTPException)
    response = json_response({"detail": error.detail}, error.status_code)
    response.headers.update(error.headers or {})
    return response


Handler = Callable[[HttpRequest], Awaitable[Response]]


class OneMethod(Route):
    """A route of FastAPI's kind: GET does not imply HEAD."""

    def __init__(self, path: str, handler: Handler, method: str) -> None:
        super().__init__(path, handler, methods=[method])
        self.methods = {method}


class Origins(CORSMiddleware):
    """vLLM makes answers with status 500 outside of what looks at origins: they have none of its headers."""

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500:
            await send(message)
        else:
            await super().send(message, send, request_headers)


def make_app(engine: Engine, server: Server, loop: EngineLoop, registry: CollectorRegistry) -> ASGIApp:
    """The ASGI application: routes, and around them in vLLM's order HTTP metrics, origins, and API keys.

    So what keys and origins refuse is in no metric.
    """
    routes = Routes(engine, server, registry)
    posts = {**TokenRoutes(engine, server, loop).posts()}
    # An engine has the paths of its own task; on all others vLLM answers 404, too.
    if engine.pooling is None:
        posts |= GenerationRoutes(engine, server, loop).posts()
    else:
        posts |= PoolingRoutes(engine, engine.pooling, server, loop).posts()
    gets: dict[str, Handler] = {
        "/v1/models": routes.models,
        "/health": routes.health,
        "/version": routes.version,
        "/load": routes.load,
    }
    table = [
        *(OneMethod(path, handler, "POST") for path, handler in posts.items()),
        *(OneMethod(path, handler, "GET") for path, handler in gets.items()),
        OneMethod("/ping", routes.health, "GET"),
        OneMethod("/ping", routes.health, "POST"),
        Route("/metrics", routes.metrics),
    ]
    paths = frozenset((*posts, *gets, "/metrics", "/ping"))
    if server.documented:
        methods = {route.path: frozenset(route.methods or ()) for route in table}
        table += documentation(methods)
        paths |= {route.path for route in table}
    app = Starlette(routes=table, exception_handlers={ApiError: api_error, HTTPException: http_error})
    origins = server.origins
    counted = Origins(
        HttpMetrics(app, registry, paths),
        allow_origins=origins.allowed,
        allow_methods=origins.methods,
        allow_headers=origins.headers,
        allow_credentials=origins.credentials,
    )
    return RequireKey(counted, server.api_keys) if server.api_keys else counted
