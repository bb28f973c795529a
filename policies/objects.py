"""Kubernetes objects among the registered resources, whichever program registered them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pulumi_policy.proxy import UnknownValueError

from policies.properties import Section, UnexpectedValueError

STACK_TYPE = "pulumi:pulumi:Stack"
"""Type of the stack itself among the registered resources."""


class Resource(Protocol):
    """What the SDK says about a resource, alone or in a stack."""

    resource_type: str
    props: Mapping[str, Any]
    urn: str
    name: str


@dataclass(frozen=True)
class KubernetesObject:
    """One object. kind: such as Deployment. root: all its properties.

    namespace: None if it is not known before the object exists. name: the Pulumi resource's, if Kubernetes'
    own is generated or not known.
    """

    urn: str
    kind: str
    namespace: str | None
    name: str
    root: Section

    @property
    def identity(self) -> str:
        """What reports and waivers call it: kind, namespace and name."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def spec(self) -> Section:
        return self.root.section("spec")


NAMELESS_KINDS = ("NodePool", "Namespace", "PriorityClass")
"""Kinds that rules look at and that belong to no namespace."""


def kubernetes_object(resource: Resource) -> KubernetesObject | None:
    """The resource as a Kubernetes object, or None if it is something else.

    The kind is the last part of the type, `kubernetes:apps/v1:Deployment`: it is known in every preview.
    """
    kind = _kind(resource)
    if kind is None:
        return None
    namespace = None if kind in NAMELESS_KINDS else _metadata(resource, "namespace", "default")
    return KubernetesObject(
        urn=resource.urn,
        kind=kind,
        namespace=namespace,
        name=_metadata(resource, "name", resource.name) or resource.name,
        root=Section("", resource.props),
    )


def kubernetes_objects(resources: Iterable[Resource], kinds: Iterable[str]) -> Iterator[KubernetesObject]:
    """The Kubernetes objects of these kinds."""
    wanted = frozenset(kinds)
    for resource in resources:
        if _kind(resource) in wanted:
            found = kubernetes_object(resource)
            if found is not None:
                yield found


def _kind(resource: Resource) -> str | None:
    if not resource.resource_type.startswith("kubernetes:"):
        return None
    return resource.resource_type.rpartition(":")[2]


def _metadata(resource: Resource, key: str, otherwise: str) -> str | None:
    """A property of metadata; `otherwise` if it is missing, None if nobody knows it yet."""
    try:
        value = Section("", resource.props).section("metadata").text(key)
    except UnknownValueError:
        return None
    except UnexpectedValueError:
        return otherwise
    return otherwise if value is None else value
