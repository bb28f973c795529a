"""/docs, /redoc and /openapi.json, which vLLM serves to everybody unless --disable-fastapi-docs is given.

The pages are bare: what matters to a gateway is that the paths answer, and with what kind of content.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from local.engine.errors import json_response

PAGES = ("/docs", "/docs/oauth2-redirect", "/redoc")


def documentation(methods: Mapping[str, frozenset[str]]) -> list[Route]:
    """The routes of the documentation, of paths with these methods."""
    described = {
        path: {method.lower(): {"responses": {"200": {"description": "OK"}}} for method in sorted(allowed)}
        for path, allowed in methods.items()
    }
    document = {"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": described}

    async def description(http: HttpRequest) -> Response:
        return json_response(document)

    async def page(http: HttpRequest) -> Response:
        return HTMLResponse(
            "<!DOCTYPE html><title>vLLM emulator</title><a href=/openapi.json>openapi.json</a>"
        )

    return [Route("/openapi.json", description), *(Route(path, page) for path in PAGES)]
