"""What every operation needs: the API server, the settings, and who to tell."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.pulumi.provider import kubeconfig
from local.pulumi.provider.api import ApiServer, GroupVersionKind, Resource, Unreachable
from local.pulumi.provider.diagnostics import Diagnostics
from local.pulumi.provider.inputs import is_custom_resource_definition
from local.pulumi.provider.kubeconfig import KubeconfigError, NotLoopback
from local.pulumi.provider.settings import Settings


class OperationFailed(Exception):
    """The operation did not happen; the message is for people."""


@dataclass(frozen=True)
class Registered:
    """The Pulumi resource that an operation is about."""

    urn: str
    type: str
    name: str

    @classmethod
    def of(cls, urn: str) -> Registered:
        """A URN ends in `::<parent types>$<type>::<name>`."""
        _, _, types, name = urn.split("::", 3)
        return cls(urn, types.rpartition("$")[2], name)


@dataclass
class Session:
    """One configured provider, from Configure until the engine closes it."""

    settings: Settings
    diagnostics: Diagnostics
    namespace: str
    """For objects that name none."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    _api: ApiServer | None = None
    _unreachable: str = ""
    _reported: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _announced_scopes: dict[tuple[str, str], bool] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings, diagnostics: Diagnostics) -> Session:
        """Raises NotLoopback. Any other fault of the kubeconfig is reported by the first operation that needs
        the server: a preview works without one, as with the official plugin."""
        try:
            cluster = kubeconfig.load(settings.kubeconfig, settings.context, settings.cluster)
        except NotLoopback:
            raise
        except KubeconfigError as error:
            namespace = "default" if settings.namespace is None else settings.namespace
            return cls(settings, diagnostics, namespace, _unreachable=str(error))
        namespace = cluster.namespace if settings.namespace is None else settings.namespace
        return cls(settings, diagnostics, namespace, _api=ApiServer(cluster))

    @property
    def api(self) -> ApiServer:
        """Raises Unreachable where the kubeconfig cannot be used."""
        if self._api is None:
            raise Unreachable(self._unreachable)
        return self._api

    def report_unchecked(self, error: Unreachable) -> None:
        """Warns, once, that a preview goes on without the server."""
        with self._lock:
            first, self._reported = not self._reported, True
        if first:
            self.diagnostics.warning(f"not checked against the cluster: {error}")

    def served(self, obj: Mapping[str, Any]) -> Resource | None:
        """How the server serves the object's kind; None if it does not (yet)."""
        return self.api.resource(GroupVersionKind.of(obj))

    def announce(self, obj: Mapping[str, Any]) -> None:
        """Remembers the scope of a kind whose definition the same program registers."""
        if not is_custom_resource_definition(obj):
            return
        spec = obj.get("spec")
        names = spec.get("names") if isinstance(spec, dict) else None
        if isinstance(spec, dict) and isinstance(names, dict):
            self._announced_scopes[spec.get("group", ""), names.get("kind", "")] = (
                spec.get("scope") == "Namespaced"
            )

    def is_namespaced(self, obj: Mapping[str, Any]) -> bool:
        """Whether objects of this kind live in namespaces. Kinds that nobody knows yet are taken to."""
        resource = self.served(obj)
        if resource is not None:
            return resource.namespaced
        kind = GroupVersionKind.of(obj)
        return self._announced_scopes.get((kind.group, kind.kind), True)
