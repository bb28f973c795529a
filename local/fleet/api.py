"""A small asynchronous client of the Kubernetes API: what the fleet needs and no more.

The official client is synchronous and takes a second to import; the fleet holds six watches and hundreds of
short requests in one event loop. It speaks to the API directly, with the kubeconfig's client certificate.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import yaml

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"

WATCH_SECONDS = 300
"""The server ends a watch after this time and the client resumes it, as with the official clients."""

_REQUEST_SECONDS = 30.0


class KubeconfigError(ValueError):
    """The kubeconfig cannot be used. The message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Connection:
    """Where the API server is and how to prove who we are."""

    server: str
    tls: ssl.SSLContext
    serving_tls: ssl.SSLContext
    """For what the API server asks of us; it accepts any certificate from a kubelet."""


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


def load_kubeconfig(path: Path) -> Connection:
    """The connection of the current context.

    Raises:
        KubeconfigError: the file is missing or incomplete, or its API server is not on this machine: pods
            become processes of this machine, so a remote cluster is refused.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise KubeconfigError(f"{path}: no such file; start the cluster first (make up)") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise KubeconfigError(f"{path} cannot be read as a kubeconfig: {error}") from None
    if not isinstance(document, dict):
        raise KubeconfigError(f"{path} is no kubeconfig: it holds no mapping")
    try:
        contexts = {item["name"]: item["context"] for item in document["contexts"]}
        context = contexts[document["current-context"]]
        cluster = {item["name"]: item["cluster"] for item in document["clusters"]}[context["cluster"]]
        user = {item["name"]: item["user"] for item in document["users"]}[context["user"]]
        server = str(cluster["server"])
        authority = _material(cluster, "certificate-authority")
        certificate = _material(user, "client-certificate")
        key = _material(user, "client-key")
    except (KeyError, TypeError) as error:
        raise KubeconfigError(
            f"{path}: {error} is missing; the current context needs a server, a certificate authority and a "
            "client certificate with its key"
        ) from None
    host = urlsplit(server).hostname or ""
    if not is_loopback(host):
        raise KubeconfigError(
            f"{path}: the API server is {server}; the fleet starts pods as processes of "
            "this machine and serves only a cluster on 127.0.0.1"
        )
    tls = ssl.create_default_context(cadata=authority.decode())
    serving_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as chain:  # ssl reads a client certificate only from a file
        chain.write(certificate + b"\n" + key)
        chain.flush()
        tls.load_cert_chain(chain.name)
        serving_tls.load_cert_chain(chain.name)
    return Connection(server=server, tls=tls, serving_tls=serving_tls)


def is_loopback(host: str) -> bool:
    """Whether `host` is localhost or a loopback address; a name that would need DNS is not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _material(entry: Mapping[str, str], name: str) -> bytes:
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"])
    return Path(entry[name]).read_bytes()


class Api:
    """Requests to one API server. JSON objects go in and out as they are on the wire."""

    def __init__(self, connection: Connection) -> None:
        self.server = connection.server
        self._client = httpx.AsyncClient(
            base_url=connection.server,
            verify=connection.tls,
            trust_env=False,  # a proxy of the environment must not see a loopback API server
            timeout=_REQUEST_SECONDS,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """The object at `path`. Raises ApiError or httpx.TransportError, as every request does."""
        return self._answer(await self._client.get(path, params=parameters))

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._answer(await self._client.post(path, content=orjson.dumps(body), headers=_JSON))

    async def patch(self, path: str, body: Mapping[str, Any], kind: str = MERGE) -> dict[str, Any]:
        headers = {"content-type": kind}
        return self._answer(await self._client.patch(path, content=orjson.dumps(body), headers=headers))

    async def delete(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        content = orjson.dumps(body)
        return self._answer(await self._client.request("DELETE", path, content=content, headers=_JSON))

    async def watch(
        self, path: str, resource_version: str, **parameters: str
    ) -> AsyncIterator[dict[str, Any]]:
        """Watch events of a collection from `resource_version` on, until the server ends the watch."""
        query = {
            **parameters,
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = httpx.Timeout(_REQUEST_SECONDS, read=WATCH_SECONDS + _REQUEST_SECONDS)
        async with self._client.stream("GET", path, params=query, timeout=timeout) as response:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                self._answer(response)
            async for line in response.aiter_lines():
                if line:
                    yield orjson.loads(line)

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        if response.is_success:
            return orjson.loads(response.content)
        try:
            status = orjson.loads(response.content)
            reason, message = str(status.get("reason", "")), str(status.get("message", ""))
        except ValueError:
            reason, message = response.reason_phrase, response.text[:200]
        raise ApiError(response.status_code, reason, message)


_JSON = {"content-type": "application/json"}
