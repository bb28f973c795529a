"""The gateway as a client with or without a token meets it."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from .failed import Failed
from .http_client import opener
from .settings import Service

REQUEST_SECONDS = 60
COMPLETIONS = "/v1/chat/completions"


@dataclass(frozen=True)
class Answer:
    """An answer as a whole."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Gateway:
    """address: without a path. service: where to look when it does not answer. token_file: with the Job's
    token, which is read for each request: the file may appear late."""

    address: str
    service: Service
    token_file: str

    def token(self) -> str:
        """The token of this Job. Raises Failed if there is none."""
        try:
            with open(self.token_file, encoding="ascii") as file:
                return file.read().strip()
        except (OSError, ValueError) as error:
            raise Failed(
                f"token: {self.token_file} cannot be read ({error}): the Secret of this Job holds none"
            ) from None

    def ask(self, path: str, body: bytes | None) -> Answer:
        """The answer to who shows the Job's token, whatever its status. Raises Failed if there is none."""
        return self.ask_as(self.token(), path, body)

    def ask_as(self, token: str | None, path: str, body: bytes | None) -> Answer:
        """The same with another token, or with none."""
        with self._open(token, path, body) as reply:
            try:
                return Answer(reply.status, reply.read())
            except (OSError, http.client.HTTPException) as error:
                raise self._broke_off(error) from None

    def stream(self, path: str, body: bytes) -> http.client.HTTPResponse:
        """Like `ask`, to be read as it arrives; whoever reads it meets what breaks off then."""
        return self._open(self.token(), path, body)

    def _open(self, token: str | None, path: str, body: bytes | None) -> http.client.HTTPResponse:
        headers: Mapping[str, str] = {
            **({} if body is None else {"Content-Type": "application/json"}),
            **({} if token is None else {"Authorization": f"Bearer {token}"}),
        }
        request = urllib.request.Request(self.address + path, data=body, headers=dict(headers))
        try:
            return opener.open(request, timeout=REQUEST_SECONDS)
        except urllib.error.URLError as error:
            if isinstance(error.reason, socket.gaierror):
                raise Failed(f"gateway: {self._name} does not resolve; {self._look}") from None
            raise Failed(
                f"gateway: {self._name} does not answer ({error.reason}): no ready pod is labelled "
                f"{self.service.selector}; {self._look}"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._broke_off(error) from None

    def _broke_off(self, error: Exception) -> Failed:
        return Failed(f"gateway: {self._name} broke off ({type(error).__name__}); {self._look}")

    @property
    def _name(self) -> str:
        return f"Service {self.service.namespace}/{self.service.name}"

    @property
    def _look(self) -> str:
        return f"look: kubectl -n {self.service.namespace} get service,pods -l {self.service.selector}"


def completion(model: str, more: Mapping[str, object]) -> bytes:
    """Body of a short request for a streamed reply, with the engine's own count of its tokens at the end, and
    with `more`."""
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 16,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps({**asked, **more}).encode()


TOOL: Mapping[str, object] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "greet",
                "description": "Greets a person.",
                "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
            },
        }
    ],
    # The engine must be able to find a call; whether the model makes one is its own choice.
    "tool_choice": "auto",
}
"""What a request with a tool has besides."""
