"""The volumes through which a replica sees its weights. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import pulumi_kubernetes as k8s

from serving.replica import Replica
from serving.weights.layout import ADAPTERS_FOLDER, ADAPTERS_PATH, MODEL_FOLDER
from serving.weights.sources import Claim, Hub, Image, ObjectStore
from sizing.labels import MODEL_PATH

core = k8s.core.v1

MODEL_VOLUME = "weights"
ADAPTERS_VOLUME = "adapters"


def staged_claim(replica: Replica) -> str | None:
    """The claim that the staging Job fills; None if nothing is copied."""
    copied = isinstance(replica.weights.source, Hub | ObjectStore) or bool(replica.adapters)
    return replica.weights.name if copied else None


def needs_job(replica: Replica) -> bool:
    """Whether a Job must run before the engines: for all but an image, whose digest is its checksum."""
    return not isinstance(replica.weights.source, Image) or bool(replica.adapters)


def volumes(replica: Replica) -> Iterator[k8s.core.v1.VolumeArgs]:
    """Volumes with weights of the engine's pod, which writes to none of them."""
    source, staged = replica.weights.source, staged_claim(replica)
    match source:
        case Hub() | ObjectStore():
            yield claimed(MODEL_VOLUME, replica.weights.name)
            return
        case Claim():
            yield claimed(MODEL_VOLUME, source.name)
        case Image():
            # The node's own image store keeps it: the next replica there pulls nothing.
            yield core.VolumeArgs(
                name=MODEL_VOLUME,
                image=core.ImageVolumeSourceArgs(reference=source.reference, pull_policy="IfNotPresent"),
            )
    if staged is not None:
        yield claimed(ADAPTERS_VOLUME, staged)


def mounts(replica: Replica) -> Iterator[k8s.core.v1.VolumeMountArgs]:
    """Where the engine's container sees them."""
    source = replica.weights.source
    match source:
        case Hub() | ObjectStore():
            model_folder, adapters_volume = MODEL_FOLDER, MODEL_VOLUME
        case Claim():
            model_folder, adapters_volume = source.folder or None, ADAPTERS_VOLUME
        case Image():
            model_folder, adapters_volume = None, ADAPTERS_VOLUME
    yield read_only_mount(MODEL_VOLUME, MODEL_PATH, model_folder)
    if replica.adapters:
        yield read_only_mount(adapters_volume, ADAPTERS_PATH, ADAPTERS_FOLDER)


def claimed(name: str, claim: str) -> k8s.core.v1.VolumeArgs:
    """A volume of an existing claim that its pod cannot write to."""
    return core.VolumeArgs(
        name=name,
        persistent_volume_claim=core.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim, read_only=True),
    )


def read_only_mount(volume: str, path: str, folder: str | None) -> k8s.core.v1.VolumeMountArgs:
    """Mounts a folder of a volume; None for its root."""
    return core.VolumeMountArgs(name=volume, mount_path=path, sub_path=folder, read_only=True)
