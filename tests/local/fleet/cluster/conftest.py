"""A namespace of the real cluster for each test, and plain requests to its API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import httpx
import pytest

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

SECONDS = 20.0
"""How long anything may take that the fleet does at once: much longer than it takes on two busy cores."""

T = TypeVar("T")


def eventually(found: Callable[[], T | None], what: str, seconds: float = SECONDS) -> T:
    """The first result that is true; fails with `what` and the last result after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = found()
        if result:
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}; last seen: {result!r}")
        time.sleep(0.1)


@dataclass(frozen=True)
class Namespace:
    """One namespace: create, read, change and delete objects in it."""

    client: httpx.Client
    name: str
    state: Path

    def path(self, kind: str, name: str = "") -> str:
        group = {"deployments": "/apis/apps/v1", "jobs": "/apis/batch/v1"}.get(kind, "/api/v1")
        return f"{group}/namespaces/{self.name}/{kind}/{name}".rstrip("/")

    def create(self, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        body = {"metadata": {"name": name, "labels": {"app": name}}, **fields}
        return self._checked(self.client.post(self.path(kind), json=body))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        answer = self.client.get(self.path(kind, name))
        return None if answer.status_code == httpx.codes.NOT_FOUND else self._checked(answer)

    def items(self, kind: str, selector: str) -> list[dict[str, Any]]:
        return self._checked(self.client.get(self.path(kind), params={"labelSelector": selector}))["items"]

    def patch(self, kind: str, name: str, body: dict[str, Any]) -> None:
        headers = {"content-type": "application/merge-patch+json"}
        self._checked(self.client.patch(self.path(kind, name), json=body, headers=headers))

    def delete(self, kind: str, name: str) -> None:
        self._checked(self.client.delete(self.path(kind, name)))

    def pod(self, name: str, containers: list[dict[str, Any]], **spec: Any) -> None:
        """Create a pod on the system node that asks for no token; containers default to the Python image."""
        self.create("pods", name, spec=pod_spec(containers, **spec))

    def status(self, pod: str) -> dict[str, Any]:
        found = self.get("pods", pod)
        return {} if found is None else found["status"]

    def container(self, pod: str) -> dict[str, Any]:
        """The status of a pod's first container."""
        statuses = self.status(pod).get("containerStatuses", [])
        return statuses[0] if statuses else {}

    def wait_ready(self, pod: str) -> dict[str, Any]:
        def ready() -> dict[str, Any] | None:
            found = self.get("pods", pod)
            return found if found is not None and is_ready(found) else None

        return eventually(ready, f"pod {pod} ready")

    def events(self, pod: str) -> list[str]:
        """Reasons of the pod's events."""
        answer = self.client.get(self.path("events"), params={"fieldSelector": f"involvedObject.name={pod}"})
        return [item["reason"] for item in self._checked(answer)["items"]]

    @staticmethod
    def _checked(answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_success, answer.text
        return answer.json()


def pod_spec(containers: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    named = [{"name": f"c{number}", "image": "python:3.13", **item} for number, item in enumerate(containers)]
    return {
        "automountServiceAccountToken": False,
        "nodeSelector": {"llm-platform/node-pool": "system"},
        "containers": named,
        **spec,
    }


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def address(pod: dict[str, Any], port: int) -> str:
    return pod["metadata"]["annotations"][f"local.llm-platform/address-{port}"]


SERVER = """
import http.server, os, pathlib, signal, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/slow/"):
            time.sleep(float(self.path.removeprefix("/slow/")))
        text = os.environ["POD_NAME"]
        if self.path == "/greeting":
            text = pathlib.Path("/config/greeting").read_text()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler)
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""
"""Answers with the pod's name, or with a mounted file; on SIGTERM it finishes what it is doing."""


def server(**fields: Any) -> dict[str, Any]:
    """A container that runs `SERVER` on port 8000."""
    return {
        "command": ["python", "-c", SERVER],
        "ports": [{"name": "http", "containerPort": 8000}],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1},
        **fields,
    }


def python(code: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a few lines of Python."""
    return {"command": ["python", "-c", code], **fields}


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[httpx.Client]:
    from local.fleet.api import load_kubeconfig

    connection = load_kubeconfig(cluster.kubeconfig)
    with httpx.Client(
        base_url=connection.server, verify=connection.tls, trust_env=False, timeout=30.0
    ) as client:
        yield client


@pytest.fixture
def namespace(cluster: Cluster, api: httpx.Client) -> Iterator[Namespace]:
    """An empty namespace; what is left in it afterwards is deleted at once."""
    name = f"fleet-{uuid4().hex[:6]}"
    answer = api.post("/api/v1/namespaces", json={"metadata": {"name": name}})
    assert answer.is_success, answer.text
    found = Namespace(api, name, cluster.state)
    eventually(lambda: found.get("serviceaccounts", "default"), "the namespace's service account")
    yield found
    for kind in ("deployments", "jobs", "pods"):
        api.request(
            "DELETE", found.path(kind), json={"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        )
    api.delete(f"/api/v1/namespaces/{name}")
