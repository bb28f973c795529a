"""Names: ids in the state, names for objects that the program left unnamed, field managers."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from local.pulumi.provider.values import UNKNOWN, Object

AUTONAMED: Final = "pulumi.com/autonamed"
_FIELD_MANAGER: Final = "pulumi.com/patchFieldManager"


class NamingError(ValueError):
    """The object has no usable name; the message says what to set."""


@dataclass(frozen=True)
class Proposal:
    """The engine's own idea of a name, from the `pulumi:autonaming` configuration."""

    name: str
    mode: Literal["propose", "enforce", "disable"]


def identifier(obj: Mapping[str, Any]) -> str:
    """The id in the state: `namespace/name`, or `name` for objects outside namespaces."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else metadata["name"]


def parse_identifier(text: str) -> tuple[str | None, str]:
    """Namespace (None outside namespaces) and name of an id. Raises NamingError for more than one slash."""
    parts = text.split("/")
    if len(parts) > 2 or not all(parts):
        raise NamingError(f"id {text!r} is neither a name nor namespace/name")
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


def is_autonamed(obj: Mapping[str, Any]) -> bool:
    return annotation(obj, AUTONAMED) == "true"


def annotation(obj: Mapping[str, Any], name: str) -> str | None:
    """An annotation's value; None where it is absent or not known yet."""
    metadata = obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    value = annotations.get(name) if isinstance(annotations, Mapping) else None
    return value if isinstance(value, str) else None


def adopt_name(new: Object, old: Mapping[str, Any]) -> None:
    """Keeps the generated name of the object that these inputs update, if they still name none."""
    if not _is_named(new) and is_autonamed(old):
        _set_generated(new, old["metadata"]["name"])


def generate_name(obj: Object, resource_name: str, seed: bytes, proposal: Proposal | None) -> None:
    """Names an unnamed object `<resource name>-<8 hex>` and marks it as such in an annotation.

    The suffix follows from the engine's seed, so that a preview and the update after it agree. Raises
    NamingError where the engine's configuration forbids generated names.
    """
    if _is_named(obj):
        return
    if obj.get("metadata", {}).get("generateName") is not None:
        raise NamingError(
            "metadata.generateName does not work with server-side apply; remove it or set metadata.name"
        )
    if proposal is not None and proposal.mode == "disable":
        raise NamingError("metadata.name is not set, and pulumi:autonaming is disabled")
    suffix = hashlib.sha256(seed).hexdigest()[:8] if seed else secrets.token_hex(4)
    _set_generated(obj, f"{resource_name}-{suffix}" if proposal is None else proposal.name)


def _is_named(obj: Mapping[str, Any]) -> bool:
    metadata = obj.get("metadata")
    if metadata is UNKNOWN:
        return True
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name is UNKNOWN or bool(name)


def _set_generated(obj: Object, name: str) -> None:
    metadata = obj.setdefault("metadata", {})
    metadata["name"] = name
    annotations = metadata.setdefault("annotations", {})
    if annotations is not UNKNOWN:
        annotations[AUTONAMED] = "true"


def field_manager(inputs: Mapping[str, Any], recorded: str | None) -> str:
    """Who owns the fields: the annotation's choice, else what the state recorded, else a new name.

    One manager per resource, so that two resources that apply to one object conflict instead of overwriting
    each other.
    """
    chosen = annotation(inputs, _FIELD_MANAGER)
    if chosen:
        return chosen
    return recorded if recorded is not None else f"pulumi-kubernetes-{secrets.token_hex(4)}"
