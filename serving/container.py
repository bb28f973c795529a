"""A replica as a container and its volumes, by the contract of its engine. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_kubernetes as k8s

from infra.cluster import WeightsStorage
from infra.pod_security import container_security_context
from infra.scheduling import GPU_RESOURCE
from serving.engines import engine_of
from serving.engines.engine import Compiled, Probe
from serving.images.pinned import image
from serving.names import HTTP_PORT_NAME, METRICS_PORT_NAME
from serving.replica import PRE_STOP_SECONDS, Replica
from serving.weights import volumes as weight_volumes
from sizing.fit.node import SCRATCH_GIB, shared_memory_gib

core = k8s.core.v1

DISK_GIB = SCRATCH_GIB + 2
"""Disk that a replica asks of its node: scratch, /tmp, and a GiB of logs."""


def container(replica: Replica) -> k8s.core.v1.ContainerArgs:
    """The container that serves one replica."""
    engine = engine_of(replica.engine)
    shared, probes = shared_memory_gib(replica.tensor_parallel), engine.probes(replica)
    mounts = [
        *weight_volumes.mounts(replica),
        *([] if engine.compiled is None else [_mount("compiled", engine.compiled.folder)]),
        _mount("scratch", engine.scratch),
        _mount("tmp", "/tmp"),
    ]
    if shared:
        mounts.append(_mount("shared-memory", "/dev/shm"))
    # GPUs must be equal in requests and limits. Memory is, so that no neighbour can take it. CPU has
    # no limit, because throttling shows up as latency.
    guaranteed = {
        "memory": f"{replica.share.memory_mib}Mi",
        "ephemeral-storage": f"{DISK_GIB}Gi",
        GPU_RESOURCE: str(replica.tensor_parallel),
    }
    return core.ContainerArgs(
        name="engine",
        image=image(engine.image).reference,
        args=list(engine.arguments(replica)),
        env=[core.EnvVarArgs(name=key, value=value) for key, value in engine.environment(replica).items()],
        ports=[
            core.ContainerPortArgs(name=HTTP_PORT_NAME, container_port=engine.upstream.port),
            *(
                [core.ContainerPortArgs(name=METRICS_PORT_NAME, container_port=engine.metrics_port)]
                if engine.has_metrics_port
                else []
            ),
        ],
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": f"{replica.share.cpu_millicores}m", **guaranteed}, limits=guaranteed
        ),
        volume_mounts=mounts,
        security_context=container_security_context(),
        startup_probe=_probe(probes.startup),
        readiness_probe=_probe(probes.readiness),
        # There is nothing to drain in an engine that is dead or stuck.
        liveness_probe=_probe(probes.liveness, engine.kill_seconds),
        lifecycle=core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=PRE_STOP_SECONDS))
        ),
        # The log's last lines become the pod's message: kubectl and Pulumi show why it crashed.
        termination_message_policy="FallbackToLogsOnError",
    )


def _mount(volume: str, path: str) -> core.VolumeMountArgs:
    return core.VolumeMountArgs(name=volume, mount_path=path)


def _probe(probe: Probe, grace_seconds: int | None = None) -> core.ProbeArgs:
    asks = probe.asks
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(path=asks, port=HTTP_PORT_NAME) if isinstance(asks, str) else None,
        exec_=None if isinstance(asks, str) else core.ExecActionArgs(command=list(asks)),
        period_seconds=probe.period_seconds,
        timeout_seconds=probe.timeout_seconds,
        failure_threshold=probe.failure_threshold,
        termination_grace_period_seconds=grace_seconds,
    )


def volumes(replica: Replica) -> Sequence[k8s.core.v1.VolumeArgs]:
    """Weights that a replica reads, and the places that it writes to."""
    found = [
        *weight_volumes.volumes(replica),
        *([] if engine_of(replica.engine).compiled is None else [_compiled_volume(replica)]),
        _empty_dir("scratch", f"{SCRATCH_GIB}Gi"),
        _empty_dir("tmp", "1Gi"),
    ]
    shared = shared_memory_gib(replica.tensor_parallel)
    if shared:
        # Memory of the pod: what is written here counts against the container's memory limit.
        found.append(_empty_dir("shared-memory", f"{shared}Gi", medium="Memory"))
    return found


def _compiled_volume(replica: Replica) -> k8s.core.v1.VolumeArgs:
    claim = core.PersistentVolumeClaimVolumeSourceArgs(claim_name=compiled_claim(replica))
    return core.VolumeArgs(name="compiled", persistent_volume_claim=claim)


def _empty_dir(name: str, size_limit: str, medium: str | None = None) -> k8s.core.v1.VolumeArgs:
    return core.VolumeArgs(
        name=name, empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=size_limit, medium=medium)
    )


def compiled_claim(replica: Replica) -> str:
    """The claim with what was compiled, one for each Deployment and version of the engine.

    Replicas of one Deployment share it: names of its folders are hashes of all that the code depends on, and
    code is written aside and renamed (vLLM 0.32, PyTorch since 2.10). Other models do not: whoever writes to
    it can run code in all that read it. docs/weights.md says what is left.
    """
    return f"compiled-{replica.name}-{image(engine_of(replica.engine).image).tag.lower()}"


def compiled_claim_spec(
    compiled: Compiled, storage: WeightsStorage
) -> k8s.core.v1.PersistentVolumeClaimSpecArgs:
    """Spec of that claim."""
    return core.PersistentVolumeClaimSpecArgs(
        access_modes=[storage.access_mode],
        storage_class_name=storage.storage_class,
        resources=core.VolumeResourceRequirementsArgs(requests={"storage": f"{compiled.gib}Gi"}),
    )
