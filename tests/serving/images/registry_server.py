"""A registry on loopback: TLS, tokens as Docker Hub and others hand them out, and whatever can go wrong."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from tests.certificates import issue
from tests.listening import listening

TOKEN = "anonymous"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Answer:
    """What the registry says to a request for a manifest."""

    status: int = 200
    body: bytes = b"{}"
    media_type: str = INDEX
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Registry:
    """manifests: by repository:tag; what is not there is 404. challenge: None asks for no token.

    token_body: None for a right one. silent: take requests and never answer.
    """

    host: str = ""
    manifests: dict[str, Answer] = field(default_factory=dict)
    challenge: str | None = "Bearer"
    token_body: bytes | None = None
    silent: threading.Event | None = None
    asked: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)


@contextmanager
def running_registry(folder: Path) -> Iterator[Registry]:
    """Serves on loopback; `folder`/certificate/tls.crt is the authority to trust."""
    issue(folder / "certificate")
    registry = Registry()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(registry))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate" / "tls.crt", folder / "certificate" / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.host = f"localhost:{server.server_port}"
    with listening(server):
        try:
            yield registry
        finally:
            if registry.silent is not None:
                registry.silent.set()


def _handler(registry: Registry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            if registry.silent is not None:
                registry.silent.wait(5)
                self.close_connection = True
                return
            address = urlparse(self.path)
            if address.path == "/token":
                registry.scopes += parse_qs(address.query).get("scope", [])
                self._send(
                    Answer(
                        body=registry.token_body or json.dumps({"token": TOKEN}).encode(),
                        media_type="application/json",
                    )
                )
            else:
                self._manifest(address.path)

        def _manifest(self, path: str) -> None:
            repository, _, tag = path.removeprefix("/v2/").partition("/manifests/")
            authorized = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            if registry.challenge is not None and not authorized:
                realm = f'realm="https://{registry.host}/token"'
                scope = f'service="registry",scope="repository:{repository}:pull"'
                challenge = f"{registry.challenge} {realm},{scope}"
                self._send(
                    Answer(401, media_type="application/json", headers={"WWW-Authenticate": challenge})
                )
                return
            registry.asked.append(f"{repository}:{tag}")
            self._send(
                registry.manifests.get(f"{repository}:{tag}", Answer(404, media_type="application/json"))
            )

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

    return Handler
