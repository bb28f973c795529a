"""Volumes of a pod as folders of this machine.

What a volume holds is computed by pure functions; ConfigMaps, Secrets and the like are written as kubelet
writes them, a new folder and one rename of the link `..data`, so that a reader sees the old files or the new
ones and a program that watches the folder sees one move.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.fleet.environment import ConfigError, Sources, resource
from local.fleet.environment import field as downward_field
from local.fleet.pod_model import (
    ConfigMapSource,
    Container,
    DownwardSource,
    KeyToPath,
    Pod,
    SecretSource,
    TokenSource,
    Volume,
)

_DATA = "..data"


class MissingSource(LookupError):
    """A volume's ConfigMap, Secret or key is missing: the pod waits for it, as under kubelet."""


@dataclass(frozen=True)
class Tokens:
    """Service account tokens that were requested for the pod."""

    by_source: Mapping[TokenSource, str] = field(default_factory=dict)


def token_sources(pod: Pod) -> list[TokenSource]:
    """The service account tokens that the pod's volumes ask for."""
    projected = [volume.projected for volume in pod.spec.volumes if volume.projected is not None]
    sources = [source.service_account_token for item in projected for source in item.sources]
    return [source for source in sources if source is not None]


def contents(pod: Pod, volume: Volume, sources: Sources, tokens: Tokens) -> dict[str, bytes] | None:
    """The files of a volume by relative path; None for a volume that starts empty.

    Raises:
        MissingSource: an object or key that is not optional does not exist.
        ConfigError: the fleet does not offer this kind of volume.
    """
    if volume.empty_dir is not None or volume.persistent_volume_claim is not None:
        return None
    if volume.config_map is not None:
        return _config_map(volume.config_map, sources)
    if volume.secret is not None:
        return _secret(volume.secret, sources)
    if volume.downward is not None:
        return _downward(pod, volume.downward, sources)
    if volume.projected is not None:
        found: dict[str, bytes] = {}
        for source in volume.projected.sources:
            if source.config_map is not None:
                found |= _config_map(source.config_map, sources)
            if source.secret is not None:
                found |= _secret(source.secret, sources)
            if source.downward is not None:
                found |= _downward(pod, source.downward, sources)
            if source.service_account_token is not None:
                token = tokens.by_source.get(source.service_account_token, "")
                found[source.service_account_token.path] = token.encode()
        return found
    if volume.image is not None:
        raise ConfigError(
            f"volume {volume.name!r} is the image {volume.image.reference}: nothing on this machine pulls "
            "images; use weights hub or pvc:// here, and oci:// on a cluster"
        )
    raise ConfigError(
        f"volume {volume.name!r} is of a kind that the local fleet does not offer; it has configMap, secret, "
        "downwardAPI, projected, emptyDir and persistentVolumeClaim"
    )


def mounts(container: Container, folders: Mapping[str, Path]) -> dict[str, Path]:
    """Mount path to real path. Raises ConfigError for a mount of a volume that the pod does not have."""
    found: dict[str, Path] = {}
    for mount in container.volume_mounts:
        if mount.name not in folders:
            raise ConfigError(
                f"container {container.name!r} mounts {mount.name!r}, which is no volume of the pod"
            )
        found[mount.mount_path] = folders[mount.name] / mount.sub_path
    return found


def write_atomically(folder: Path, files: Mapping[str, bytes], mode: int) -> None:
    """Make `folder` hold exactly `files`, in one step for every reader, unless it holds them already."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / _DATA
    if link.exists() and _read(link.resolve()) == dict(files):
        return
    previous = link.resolve() if link.is_symlink() else None
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    fresh.chmod(0o755)
    for name, data in files.items():
        target = fresh / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)
    temporary = folder / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.replace(link)
    wanted = {name.split("/", 1)[0] for name in files}
    for entry in wanted:
        if not (folder / entry).is_symlink():
            (folder / entry).symlink_to(Path(_DATA) / entry)
    for entry in folder.iterdir():
        if entry.is_symlink() and entry.name not in wanted | {_DATA}:
            entry.unlink()
    if previous is not None:
        shutil.rmtree(previous, ignore_errors=True)


def _read(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def _config_map(source: ConfigMapSource, sources: Sources) -> dict[str, bytes]:
    config_map = sources.config_map(source.name)
    if config_map is None:
        return _absent("configmap", source.name, source.optional)
    values = {key: value.encode() for key, value in config_map.data.items()}
    values |= {key: base64.b64decode(value) for key, value in config_map.binary_data.items()}
    return _select(f"configmap {source.name!r}", values, source.items, source.optional)


def _secret(source: SecretSource, sources: Sources) -> dict[str, bytes]:
    name = source.secret_name or source.name
    secret = sources.secret(name)
    if secret is None:
        return _absent("secret", name, source.optional)
    values = {key: base64.b64decode(value) for key, value in secret.data.items()}
    return _select(f"secret {name!r}", values, source.items, source.optional)


def _absent(kind: str, name: str, optional: bool) -> dict[str, bytes]:
    if optional:
        return {}
    raise MissingSource(f"{kind} {name!r} not found")


def _select(
    what: str, values: Mapping[str, bytes], items: list[KeyToPath], optional: bool
) -> dict[str, bytes]:
    if not items:
        return dict(values)
    missing = [item.key for item in items if item.key not in values]
    if missing and not optional:
        raise MissingSource(f"{what} has no key {missing[0]!r}; it has {', '.join(sorted(values)) or 'none'}")
    return {item.path: values[item.key] for item in items if item.key in values}


def _downward(pod: Pod, source: DownwardSource, sources: Sources) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for item in source.items:
        if item.field_ref is not None:
            found[item.path] = downward_field(pod, item.field_ref.field_path, sources.pod_ip).encode()
        if item.resource_field_ref is not None:
            ref = item.resource_field_ref
            found[item.path] = resource(pod, ref.container_name, ref.resource, ref.divisor).encode()
    return found
