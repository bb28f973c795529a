"""Specs of the Job that stages the weights of a model and of the claim that it fills. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster, WeightsStorage
from infra.pod_security import container_security_context, pod_security_context
from serving.failed_jobs import pod_failure_policy
from serving.images.pinned import image
from serving.job_program import JobProgram, fingerprint
from serving.names import STAGING, STORE_LABEL, labels
from serving.replica import Replica
from serving.weights.layout import MOUNT, adapter_folder, adapter_path
from serving.weights.sources import Claim, Hub, Image, ObjectStore
from serving.weights.volumes import MODEL_VOLUME, claimed, read_only_mount, staged_claim
from sizing.labels import MODEL_PATH

core = k8s.core.v1

PROGRAM = JobProgram(Path(__file__).parent / "stager", "/staging")
HUB_TOKEN_FOLDER = "/hub-token"

HUB_TOKEN_SECRET = "hub-token"
"""Secret beside the engines whose key `token` opens gated models. It may be missing, and only the staging Job
mounts it."""

SERVICE_ACCOUNT = "weights"
"""Whom an object store knows; the cluster's contract says how."""

STAGED_VOLUME = "staged"
UID = 1000

SLOWEST_GIB_PER_SECOND = 0.02
"""Below it a transfer counts as hanging: a fifth of a slow day of the hub, 0.1 GiB/s."""

BESIDES_TRANSFER_SECONDS = 600
"""Binding the claim, pulling the image, waiting for a busy hub."""

ADAPTER_GIB = 2
"""Room for one adapter: rank 64 on every linear layer of a 70B model takes 1.7 GiB in 16 bits."""

ADAPTER_REVISIONS = 3
"""So many of each are on a claim at once: the one before, the one that is staged, and one to be removed."""

ROOM = 1.1
"""Tokenizer, index and file system beside the weights."""

RESTARTS = 6
"""Of the Job, which goes on where it stopped: with Kubernetes' back-off of 10 s that doubles, 10 minutes."""


def job_name(replica: Replica, storage: WeightsStorage) -> str:
    """Name of one run: other weights, another hub and another program are another run."""
    content = [replica.weights.name, items(replica), storage.hub_endpoint, dict(PROGRAM.files)]
    return f"stage-{replica.weights.owner}-{fingerprint(content)}"


def program_name() -> str:
    """Name of the ConfigMap with the program: another program is another ConfigMap."""
    return f"staging-{fingerprint(dict(PROGRAM.files))}"


def items(replica: Replica) -> list[dict[str, str]]:
    """What there is to stage or to verify, as the program reads it."""
    source = replica.weights.source
    found: list[dict[str, str]] = []
    match source:
        case Hub():
            found.append(_item(MODEL_PATH, source.repository, source.revision, "hub"))
        case ObjectStore() | Claim():
            found.append(_item(MODEL_PATH, replica.model.name, "", str(source)))
        case Image():
            pass
    found += [
        {
            **_item(
                adapter_path(adapter.name, adapter.source, adapter.revision),
                adapter.source,
                adapter.revision,
                "hub",
            ),
            "revisions": adapter_folder(adapter.name),
        }
        for adapter in replica.adapters
    ]
    return found


def _item(folder: str, identity: str, revision: str, source: str) -> dict[str, str]:
    return {"folder": folder, "id": identity, "revision": revision, "source": source}


def transfer_gib(replica: Replica) -> float:
    """What is copied or read by the Job."""
    copied = 0.0 if isinstance(replica.weights.source, Image) else replica.model.download_gib
    return copied + ADAPTER_GIB * len(replica.adapters)


def slowest_transfer_seconds(replica: Replica) -> int:
    """How long a transfer may take, and how long another Job waits for the one that works on the claim."""
    return ceil(transfer_gib(replica) / SLOWEST_GIB_PER_SECOND)


def deadline_seconds(replica: Replica) -> int:
    """When a hanging Job is ended."""
    return BESIDES_TRANSFER_SECONDS + slowest_transfer_seconds(replica)


def claim_spec(replica: Replica, storage: WeightsStorage) -> k8s.core.v1.PersistentVolumeClaimSpecArgs:
    """Spec of the claim that the Job fills."""
    copied = replica.model.download_gib if isinstance(replica.weights.source, Hub | ObjectStore) else 0.0
    size = ceil((copied + ADAPTER_GIB * ADAPTER_REVISIONS * len(replica.adapters)) * ROOM) + 1
    return core.PersistentVolumeClaimSpecArgs(
        access_modes=[storage.access_mode],
        storage_class_name=storage.storage_class,
        resources=core.VolumeResourceRequirementsArgs(requests={"storage": f"{size}Gi"}),
    )


def job_spec(replica: Replica, cluster: Cluster) -> k8s.batch.v1.JobSpecArgs:
    """Spec of the Job."""
    return k8s.batch.v1.JobSpecArgs(
        backoff_limit=RESTARTS,
        pod_failure_policy=pod_failure_policy("stage"),
        active_deadline_seconds=deadline_seconds(replica),
        template=core.PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels=_labels(replica)),
            spec=core.PodSpecArgs(
                restart_policy="Never",
                service_account_name=SERVICE_ACCOUNT,
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=pod_security_context(UID),
                node_selector=cluster.system_node_selector,
                init_containers=_copying(replica),
                containers=[_container(replica, cluster.weights_storage)],
                volumes=_volumes(replica),
            ),
        ),
    )


def _labels(replica: Replica) -> Mapping[str, str]:
    bucket = isinstance(replica.weights.source, ObjectStore)
    return {**labels(STAGING, component=STAGING), **({STORE_LABEL: "true"} if bucket else {})}


def _copying(replica: Replica) -> list[k8s.core.v1.ContainerArgs] | None:
    """Copies a bucket's folder. What is there already, with the same checksum, is not copied again."""
    source = replica.weights.source
    if not isinstance(source, ObjectStore):
        return None
    remote = {
        "s3": {"TYPE": "s3", "PROVIDER": "AWS", "ENV_AUTH": "true"},
        # With uniform access a bucket has no access lists to read or write.
        "gs": {"TYPE": "google cloud storage", "ENV_AUTH": "true", "BUCKET_POLICY_ONLY": "true"},
    }[source.scheme]
    environment = {
        **{f"RCLONE_CONFIG_STORE_{key}": value for key, value in remote.items()},
        # No configuration file, no home: everything is said here.
        "RCLONE_CONFIG": "/dev/null",
        "XDG_CACHE_HOME": "/tmp",
    }
    kinds = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "SHA256SUMS")
    return [
        core.ContainerArgs(
            name="copy",
            image=image("rclone").reference,
            args=[
                "copy",
                f"store:{source.bucket}/{source.folder}",
                MODEL_PATH,
                "--checksum",
                *(part for kind in kinds for part in ("--include", kind)),
                "--transfers=4",
                "--stats=10s",
                "--stats-one-line",
                "--stats-log-level=NOTICE",
            ],
            env=[core.EnvVarArgs(name=name, value=value) for name, value in environment.items()],
            resources=core.ResourceRequirementsArgs(
                requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"}
            ),
            volume_mounts=[
                core.VolumeMountArgs(name=STAGED_VOLUME, mount_path=MOUNT),
                core.VolumeMountArgs(name="tmp", mount_path="/tmp"),
            ],
            security_context=container_security_context(),
            termination_message_policy="FallbackToLogsOnError",
        )
    ]


def _container(replica: Replica, storage: WeightsStorage) -> k8s.core.v1.ContainerArgs:
    environment = {
        "STAGE_ITEMS": json.dumps(items(replica)),
        "STAGE_PATIENCE_SECONDS": str(slowest_transfer_seconds(replica)),
        "HUB_ENDPOINT": storage.hub_endpoint,
        "HUB_TOKEN_FILE": f"{HUB_TOKEN_FOLDER}/token",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    mounts = [
        PROGRAM.mount(),
        read_only_mount("hub-token", HUB_TOKEN_FOLDER, None),
    ]
    if staged_claim(replica) is not None:
        mounts.append(core.VolumeMountArgs(name=STAGED_VOLUME, mount_path=MOUNT))
    source = replica.weights.source
    if isinstance(source, Claim):
        mounts.append(read_only_mount(MODEL_VOLUME, MODEL_PATH, source.folder or None))
    return core.ContainerArgs(
        name="stage",
        image=image("python").reference,
        command=PROGRAM.command,
        working_dir=PROGRAM.working_folder,
        env=[core.EnvVarArgs(name=key, value=value) for key, value in environment.items()],
        # One core takes the checksum of 1 GiB/s; what is read stays in the page cache, which may be taken.
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": "1", "memory": "512Mi"}, limits={"memory": "1Gi"}
        ),
        volume_mounts=mounts,
        security_context=container_security_context(),
        # What the program prints last is the reason, and reaches whoever runs the update.
        termination_message_policy="FallbackToLogsOnError",
    )


def _volumes(replica: Replica) -> list[k8s.core.v1.VolumeArgs]:
    found = [
        PROGRAM.volume(program_name()),
        core.VolumeArgs(
            name="hub-token",
            secret=core.SecretVolumeSourceArgs(
                # Readable for the group, which is the pod's own: the user is not root.
                secret_name=HUB_TOKEN_SECRET,
                optional=True,
                default_mode=0o440,
            ),
        ),
    ]
    if isinstance(replica.weights.source, ObjectStore):
        found.append(core.VolumeArgs(name="tmp", empty_dir=core.EmptyDirVolumeSourceArgs(size_limit="1Gi")))
    claim = staged_claim(replica)
    if claim is not None:
        found.append(
            core.VolumeArgs(
                name=STAGED_VOLUME,
                persistent_volume_claim=core.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim),
            )
        )
    source = replica.weights.source
    if isinstance(source, Claim):
        found.append(claimed(MODEL_VOLUME, source.name))
    return found
