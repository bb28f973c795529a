"""A container's environment variables, as kubelet resolves them. Pure functions."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local.fleet.kube import ConfigMap, Secret
from local.fleet.pod_model import Container, EnvVarSource, KeySelector, Pod
from local.fleet.quantity import divide

_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class ConfigError(ValueError):
    """The container cannot be configured yet: kubelet shows CreateContainerConfigError and tries again."""


@dataclass(frozen=True)
class Sources:
    """Where values come from. `config_map` and `secret` look up an object of the pod's namespace by name."""

    config_map: Callable[[str], ConfigMap | None]
    secret: Callable[[str], Secret | None]
    pod_ip: str


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the variable and `$$` by `$`; an unknown name stays as it is written."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return variables.get(name, match.group(0))

    return _REFERENCE.sub(replace, text)


def environment(pod: Pod, container: Container, sources: Sources) -> dict[str, str]:
    """The variables that the container's `env` and `envFrom` define, in order of definition.

    Raises:
        ConfigError: a ConfigMap, a Secret or a key that is not optional is missing, or a field is unknown.
    """
    found: dict[str, str] = {}
    for entry in container.env_from:
        if entry.config_map_ref is not None:
            config_map = sources.config_map(entry.config_map_ref.name)
            if config_map is None and not entry.config_map_ref.optional:
                raise ConfigError(f"configmap {entry.config_map_ref.name!r} not found")
            values = config_map.data if config_map is not None else {}
            found.update({entry.prefix + key: value for key, value in values.items()})
        if entry.secret_ref is not None:
            secret = sources.secret(entry.secret_ref.name)
            if secret is None and not entry.secret_ref.optional:
                raise ConfigError(f"secret {entry.secret_ref.name!r} not found")
            values = secret.data if secret is not None else {}
            found.update({entry.prefix + key: _decode(value) for key, value in values.items()})
    for variable in container.env:
        if variable.value_from is None:
            found[variable.name] = expand(variable.value, found)
            continue
        value = _from_source(pod, container, variable.value_from, sources)
        if value is not None:
            found[variable.name] = value
    return found


def _from_source(pod: Pod, container: Container, source: EnvVarSource, sources: Sources) -> str | None:
    if source.field_ref is not None:
        return field(pod, source.field_ref.field_path, sources.pod_ip)
    if source.resource_field_ref is not None:
        reference = source.resource_field_ref
        return resource(
            pod, reference.container_name or container.name, reference.resource, reference.divisor
        )
    if source.config_map_key_ref is not None:
        config_map = sources.config_map(source.config_map_key_ref.name)
        return _key("configmap", source.config_map_key_ref, None if config_map is None else config_map.data)
    if source.secret_key_ref is not None:
        secret = sources.secret(source.secret_key_ref.name)
        value = _key("secret", source.secret_key_ref, None if secret is None else secret.data)
        return None if value is None else _decode(value)
    raise ConfigError(
        f"container {container.name!r}: an environment variable has a source the fleet does not know"
    )


def _key(kind: str, selector: KeySelector, values: Mapping[str, str] | None) -> str | None:
    if values is not None and selector.key in values:
        return values[selector.key]
    if selector.optional:
        return None
    if values is None:
        raise ConfigError(f"{kind} {selector.name!r} not found")
    raise ConfigError(
        f"{kind} {selector.name!r} has no key {selector.key!r}; it has {', '.join(sorted(values))}"
    )


def _decode(value: str) -> str:
    return base64.b64decode(value).decode(errors="surrogateescape")


def field(pod: Pod, path: str, pod_ip: str) -> str:
    """The value of a downward API field. Raises ConfigError for a field that the fleet does not know."""
    metadata = pod.metadata
    fields = {
        "metadata.name": metadata.name,
        "metadata.namespace": metadata.namespace,
        "metadata.uid": metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
    }
    if path in fields:
        return fields[path]
    if match := _SUBSCRIPT.match(path):
        values = metadata.labels if match.group(1) == "labels" else metadata.annotations
        return values.get(match.group(2), "")
    if path in ("metadata.labels", "metadata.annotations"):
        values = metadata.labels if path.endswith("labels") else metadata.annotations
        return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
    raise ConfigError(
        f"field {path!r} is not one of {', '.join(fields)}, metadata.labels, metadata.annotations"
    )


def resource(pod: Pod, container_name: str, name: str, divisor: str) -> str:
    """The value of a `resourceFieldRef` such as `limits.memory`; 0 when the container does not set it."""
    kind, _, key = name.partition(".")
    for container in [*pod.spec.containers, *pod.spec.init_containers]:
        if container.name == container_name:
            values = container.resources.limits if kind == "limits" else container.resources.requests
            return divide(values.get(key, "0"), divisor)
    raise ConfigError(f"resource field {name!r}: the pod has no container {container_name!r}")
