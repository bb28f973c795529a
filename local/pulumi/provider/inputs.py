"""What a program's inputs become before they are compared with the live object or sent."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any, Final

from local.pulumi.provider.api import GroupVersionKind
from local.pulumi.provider.values import UNKNOWN, Object, contains_unknown

_SERVER_SET: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""Metadata that the API server sets and ignores or refuses from clients."""

_SET_BY_OTHERS: Final = (
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
)
"""Annotations that controllers and kubectl add to live objects."""


class UnsupportedResource(ValueError):
    """A resource type that the stand-in does not manage; the message says what to use instead."""


def refuse_unsupported(token: str) -> None:
    """Raises UnsupportedResource for types that are no single Kubernetes object, and for Patch resources."""
    _, module, kind = token.split(":", 2)
    if module.partition("/")[0] in ("helm.sh", "yaml", "kustomize"):
        raise UnsupportedResource(
            f"{token} is not supported by the local stand-in for the Kubernetes provider: register the "
            "objects as typed resources, or install Pulumi's own plugin"
        )
    if kind.endswith("List"):
        raise UnsupportedResource(f"{token} holds a list; register each object with its own type instead")
    if kind.endswith("Patch"):
        raise UnsupportedResource(
            f"{token} is not supported by the local stand-in for the Kubernetes provider: register the whole "
            f"object as {token.removesuffix('Patch')}, or install Pulumi's own plugin"
        )


def is_secret(obj: Mapping[str, Any]) -> bool:
    return obj.get("apiVersion") == "v1" and obj.get("kind") == "Secret"


def is_custom_resource_definition(obj: Mapping[str, Any]) -> bool:
    return (
        GroupVersionKind.of(obj).group == "apiextensions.k8s.io"
        and obj.get("kind") == "CustomResourceDefinition"
    )


def is_built_in(obj: Mapping[str, Any]) -> bool:
    """Whether Kubernetes itself defines this kind: its groups have no dot or end in .k8s.io."""
    group = GroupVersionKind.of(obj).group
    return "." not in group or group.endswith(".k8s.io")


def normalize(obj: Mapping[str, Any]) -> Object:
    """A copy in the form that the API server stores: no metadata that only it sets, no nulls, a Secret's
    stringData in data. Inputs that are not wholly known keep their nulls and stringData."""
    normalized = copy.deepcopy(dict(obj))
    metadata = normalized.get("metadata")
    if isinstance(metadata, dict):
        for name in _SERVER_SET:
            metadata.pop(name, None)
    if contains_unknown(normalized):
        return normalized
    if is_built_in(normalized):
        normalized = _without_nulls(normalized)
    if is_secret(normalized):
        _encode_string_data(normalized)
    if is_custom_resource_definition(normalized):
        normalized.pop("status", None)
        spec = normalized.get("spec")
        if isinstance(spec, dict) and spec.get("preserveUnknownFields") is False:
            del spec["preserveUnknownFields"]  # deprecated; the server drops it where it is false
    return normalized


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _encode_string_data(secret: Object) -> None:
    string_data = secret.get("stringData")
    if not string_data:
        return
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in string_data.items()}
    secret["data"] = {**secret.get("data", {}), **encoded}
    del secret["stringData"]


def set_namespace(obj: Object, namespace: str) -> None:
    """Gives an object the provider's namespace if it has none."""
    metadata = obj.setdefault("metadata", {})
    if metadata is not UNKNOWN and not metadata.get("namespace"):
        metadata["namespace"] = namespace


def without_namespace(obj: Mapping[str, Any]) -> Object:
    """A copy for a kind outside namespaces. Before its CustomResourceDefinition is there, a kind is taken to
    be namespaced, so that the inputs in the state may carry a namespace that the server would refuse."""
    copied = dict(obj)
    copied["metadata"] = {key: value for key, value in copied["metadata"].items() if key != "namespace"}
    return copied


def of_live_object(live: Mapping[str, Any]) -> Object:
    """Inputs that describe an object somebody else made: for `pulumi import`."""
    inputs = normalize({key: value for key, value in live.items() if key != "status"})
    annotations = inputs["metadata"].get("annotations", {})
    for name in _SET_BY_OTHERS:
        annotations.pop(name, None)
    if not annotations:
        inputs["metadata"].pop("annotations", None)
    return inputs
