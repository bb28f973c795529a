"""Which ConfigMaps, Secrets and claims a pod reads. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from local.fleet.pod_model import Pod

Reference = tuple[str, str]
"""Kind (`ConfigMap`, `Secret` or `PersistentVolumeClaim`) and name, in the pod's namespace."""


def references(pod: Pod) -> frozenset[Reference]:
    """Every ConfigMap, Secret and claim that the pod's volumes and environment name."""
    return frozenset([*_volumes(pod), *_variables(pod)])


def _volumes(pod: Pod) -> Iterator[Reference]:
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield "PersistentVolumeClaim", volume.persistent_volume_claim.claim_name
        projected = [] if volume.projected is None else volume.projected.sources
        for source in [volume, *projected]:
            if source.config_map is not None:
                yield "ConfigMap", source.config_map.name
            if source.secret is not None:
                yield "Secret", source.secret.secret_name or source.secret.name


def _variables(pod: Pod) -> Iterator[Reference]:
    for container in pod.spec.containers + pod.spec.init_containers:
        for entry in container.env_from:
            if entry.config_map_ref is not None:
                yield "ConfigMap", entry.config_map_ref.name
            if entry.secret_ref is not None:
                yield "Secret", entry.secret_ref.name
        for variable in container.env:
            if variable.value_from is None:
                continue
            if variable.value_from.config_map_key_ref is not None:
                yield "ConfigMap", variable.value_from.config_map_key_ref.name
            if variable.value_from.secret_key_ref is not None:
                yield "Secret", variable.value_from.secret_key_ref.name
