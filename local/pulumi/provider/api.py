"""Requests to the API server: one connection pool, and what the server serves, asked for once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from local.pulumi.provider.kubeconfig import Cluster
from local.pulumi.provider.values import Object

_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
"""The API server itself gives up after 60 s; a loopback connection that takes 5 s will not come."""

_CONNECTIONS: Final = httpx.Limits(max_connections=32, max_keepalive_connections=32)
"""Pulumi runs 4 operations per core at once by default; 32 leaves room without letting a large stack of
waiting objects open a connection each."""


class ApiError(Exception):
    """The API server refused a request. `message` is its own, with the path of the field where it names
    one."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[Cause, ...]) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = causes

    @property
    def not_found(self) -> bool:
        return self.code == 404

    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        return self.reason == "Conflict"

    @property
    def invalid(self) -> bool:
        return self.code == 422


@dataclass(frozen=True)
class Cause:
    """One field that the API server names in a refusal."""

    field: str
    message: str


class Unreachable(Exception):
    """The API server does not answer; the message names its address and says what to do."""


@dataclass(frozen=True)
class GroupVersionKind:
    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> GroupVersionKind:
        """The kind that an object says it is. The group may be empty or `core` for the core group."""
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        return cls("" if group == "core" else group, version, str(obj.get("kind", "")))

    @classmethod
    def of_type(cls, token: str) -> GroupVersionKind:
        """The kind behind a Pulumi type such as `kubernetes:apps/v1:Deployment`."""
        _, module, kind = token.split(":", 2)
        group, _, version = module.partition("/")
        return cls("" if group == "core" else group, version, kind)


@dataclass(frozen=True)
class Resource:
    """How the API server serves a kind."""

    path: str
    """Path of its group and version, such as `/apis/apps/v1`."""
    plural: str
    namespaced: bool

    def collection(self, namespace: str | None) -> str:
        return (
            f"{self.path}/namespaces/{namespace}/{self.plural}"
            if self.namespaced
            else f"{self.path}/{self.plural}"
        )


class ApiServer:
    """The API server of one cluster. Safe to use from several threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._server = cluster.server
        token = cluster.credentials.token
        self._client = httpx.Client(
            base_url=cluster.server,
            verify=cluster.ssl_context() if cluster.server.startswith("https:") else False,
            headers={"Authorization": f"Bearer {token}"} if token is not None else {},
            timeout=_TIMEOUT,
            limits=_CONNECTIONS,
            trust_env=False,  # a proxy in the environment must not see loopback traffic
        )
        self._kinds: dict[tuple[str, str], dict[str, Resource]] = {}
        self._lock = threading.Lock()

    def resource(self, kind: GroupVersionKind) -> Resource | None:
        """How the server serves a kind; None if it does not (yet). Answers are kept, absence is not."""
        with self._lock:
            known = self._kinds.get((kind.group, kind.version), {})
            if kind.kind not in known:
                known = self._discover(kind)
                self._kinds[kind.group, kind.version] = known
            return known.get(kind.kind)

    def _discover(self, kind: GroupVersionKind) -> dict[str, Resource]:
        path = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        try:
            listing = self._request("GET", path)
        except ApiError as error:
            if error.not_found:
                return {}
            raise
        return {
            entry["kind"]: Resource(path, entry["name"], entry["namespaced"])
            for entry in listing["resources"]
            if "/" not in entry["name"]
        }

    def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """The live object; None if there is none."""
        try:
            return self._request("GET", f"{resource.collection(namespace)}/{name}")
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def select(self, resource: Resource, namespace: str | None, labels: Mapping[str, str]) -> list[Object]:
        """The live objects that carry all of these labels."""
        return self._request("GET", resource.collection(namespace), {"labelSelector": _selector(labels)})[
            "items"
        ]

    def select_by_field(
        self, resource: Resource, namespace: str | None, fields: Mapping[str, str]
    ) -> list[Object]:
        """The live objects whose fields have all of these values; a server knows only a few fields a kind."""
        return self._request("GET", resource.collection(namespace), {"fieldSelector": _selector(fields)})[
            "items"
        ]

    def create(self, resource: Resource, obj: Object, field_manager: str, *, dry_run: bool) -> Object:
        """Creates the object, all fields validated strictly. Raises ApiError, AlreadyExists among them."""
        namespace = obj["metadata"].get("namespace")
        parameters = _write_parameters(field_manager, dry_run)
        return self._request("POST", resource.collection(namespace), parameters, obj)

    def apply(
        self, resource: Resource, obj: Object, field_manager: str, *, dry_run: bool, force: bool
    ) -> Object:
        """Server-side apply, all fields validated strictly. Raises ApiError, Conflict among them."""
        metadata = obj["metadata"]
        return self._request(
            "PATCH",
            f"{resource.collection(metadata.get('namespace'))}/{metadata['name']}",
            {**_write_parameters(field_manager, dry_run), "force": "true" if force else "false"},
            obj,
            "application/apply-patch+yaml",
        )

    def patch_json(self, resource: Resource, obj: Object, operations: list[Object]) -> Object:
        """RFC 6902 patch of the object that `obj` names."""
        metadata = obj["metadata"]
        path = f"{resource.collection(metadata.get('namespace'))}/{metadata['name']}"
        return self._request("PATCH", path, {}, operations, "application/json-patch+json")

    def delete(self, resource: Resource, namespace: str | None, name: str, propagation: str) -> None:
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        self._request("DELETE", f"{resource.collection(namespace)}/{name}", {}, body)

    def _request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        try:
            response = self._client.request(
                method,
                path,
                params=dict(parameters) if parameters is not None else None,
                content=None if body is None else orjson.dumps(body),
                headers={} if body is None else {"Content-Type": content_type},
            )
        except httpx.TransportError as error:
            raise Unreachable(
                f"the API server {self._server} does not answer ({error}). "
                "Is the cluster up? `make status` shows it"
            ) from error
        if response.is_success:
            return orjson.loads(response.content)
        raise _refusal(response)


def _selector(wanted: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in wanted.items())


def _write_parameters(field_manager: str, dry_run: bool) -> dict[str, str]:
    parameters = {"fieldManager": field_manager, "fieldValidation": "Strict"}
    return {**parameters, "dryRun": "All"} if dry_run else parameters


def _refusal(response: httpx.Response) -> ApiError:
    try:
        status = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    details = status.get("details")
    causes = details.get("causes", []) if isinstance(details, dict) else []
    return ApiError(
        response.status_code,
        status.get("reason", ""),
        status.get("message", response.text or f"HTTP status {response.status_code}"),
        tuple(Cause(cause.get("field", ""), cause.get("message", "")) for cause in causes),
    )
