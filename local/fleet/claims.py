"""What a storage driver does for PersistentVolumeClaims: each claim of our class gets a folder as its volume.

Like a network file system, a folder is there on every node at once, whatever access mode its claim asks for.
It goes with the claim.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx

from local.fleet.api import Api, ApiError
from local.fleet.kube import PersistentVolume, PersistentVolumeClaim

log = logging.getLogger(__name__)

STORAGE_CLASS = "local-folders"
"""Of local/cluster/storage-class.yaml."""

PROVISIONER = "local.llm-platform/folders"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
"""Annotation by which Kubernetes knows that the driver, and not itself, deletes what a volume stands for."""

_RETRY_SECONDS = 1.0
_CONFLICT = 409
_GONE = 404


def folder(claims: Path, claim: PersistentVolumeClaim) -> Path:
    """The folder of a claim. A claim that is made again under its name gets another."""
    metadata = claim.metadata
    return claims / f"{metadata.namespace}_{metadata.name}_{metadata.uid}"


def is_waiting(claim: PersistentVolumeClaim) -> bool:
    """Whether the fleet still has to make the volume of this claim."""
    ours = claim.spec.storage_class_name == STORAGE_CLASS
    return ours and not claim.spec.volume_name and claim.metadata.deletion_timestamp is None


def is_released(volume: PersistentVolume) -> bool:
    """Whether this is a volume of ours whose claim is gone."""
    ours = volume.metadata.annotations.get(PROVISIONED_BY) == PROVISIONER
    return ours and volume.status.phase in ("Released", "Failed")


def volume_of(claim: PersistentVolumeClaim, path: Path) -> dict[str, Any]:
    """The PersistentVolume for a claim, bound to it and to no other."""
    metadata = claim.metadata
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"claim-{metadata.uid}", "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "accessModes": claim.spec.access_modes,
            "capacity": {"storage": claim.spec.resources.requests["storage"]},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": STORAGE_CLASS,
            "hostPath": {"path": str(path), "type": "DirectoryOrCreate"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
            },
        },
    }


class ClaimProvisioner:
    """Makes the folders and volumes of claims, and removes both once the claim is gone."""

    def __init__(
        self,
        api: Api,
        claims_folder: Path,
        claims: Callable[[], Iterable[PersistentVolumeClaim]],
        volumes: Callable[[], Iterable[PersistentVolume]],
    ) -> None:
        self._api = api
        self._folder = claims_folder
        self._claims = claims
        self._volumes = volumes
        self._changed = asyncio.Event()
        self._changed.set()

    def changed(self) -> None:
        """Some claim or volume has changed."""
        self._changed.set()

    def remove_leftovers(self) -> None:
        """Removes folders that belong to no volume and no claim of the cluster."""
        known = {folder(self._folder, claim) for claim in self._claims()}
        known |= {
            Path(volume.spec.host_path.path)
            for volume in self._volumes()
            if volume.spec.host_path is not None
        }
        for path in self._folder.iterdir() if self._folder.exists() else ():
            if path not in known:
                shutil.rmtree(path, ignore_errors=True)

    async def run(self) -> None:
        """Follow claims and volumes until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                for claim in [claim for claim in self._claims() if is_waiting(claim)]:
                    await self._provide(claim)
                for volume in [volume for volume in self._volumes() if is_released(volume)]:
                    await self._remove(volume)
            except (ApiError, httpx.HTTPError) as error:
                log.warning("claims: %s; trying again", error)
                await asyncio.sleep(_RETRY_SECONDS)
                self._changed.set()

    async def _provide(self, claim: PersistentVolumeClaim) -> None:
        path = folder(self._folder, claim)
        path.mkdir(parents=True, exist_ok=True)
        try:
            await self._api.post("/api/v1/persistentvolumes", volume_of(claim, path))
        except ApiError as error:
            if error.status != _CONFLICT:  # made already; the claim just does not say so yet
                raise

    async def _remove(self, volume: PersistentVolume) -> None:
        if volume.spec.host_path is not None:
            path = Path(volume.spec.host_path.path)
            if path.is_relative_to(self._folder):
                await asyncio.to_thread(shutil.rmtree, path, True)
        try:
            await self._api.delete(f"/api/v1/persistentvolumes/{volume.metadata.name}", {})
        except ApiError as error:
            if error.status != _GONE:
                raise
