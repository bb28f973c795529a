"""vLLM: one replica as a container. Pure: it depends on its arguments and the data files alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import pulumi_kubernetes as k8s

from infra.cluster import WeightsStorage
from infra.pod_security import container_security_context
from infra.scheduling import GPU_RESOURCE
from serving.images.pinned import image
from serving.names import ENGINE_PORT, HTTP_PORT_NAME
from serving.replica import PRE_STOP_SECONDS, SHUTDOWN_MARGIN_SECONDS, Adapter, Replica
from serving.weights import volumes as weight_volumes
from serving.weights.layout import MODEL_PATH, adapter_path
from sizing.fit.adapters import slots_for
from sizing.fit.node import SCRATCH_GIB, shared_memory_gib
from sizing.models.chat import ChatFormat
from sizing.models.task import Task
from sizing.tables import read_data

core = k8s.core.v1

ENGINE = "vllm"
UID = 1000
"""The image runs as root unless told otherwise; it has no user of its own."""

SCRATCH = "/scratch"
"""Writable, and gone with the pod."""

COMPILED = "/compiled"
"""What the engine compiles for one model, kept for the next replica: a start of 64 s became one of 30 s in a
measurement with vLLM 0.28 (SkyRL pull request 2138)."""

COMPILED_GIB = 10
"""Kernels and graphs of one model at one version of the engine: below 1 GiB in logs per set of flags."""

STARTUP_SECONDS_BESIDES_WEIGHTS = 600
"""Twice what vLLM took on an L4 for a 4B model from start to ready, 295 s, of which weights were 17 s."""

LOAD_GIB_PER_SECOND = 0.1
"""A fifth of what one replica read from a network disk in a log: five that start at once share the volume."""

_facts = read_data(Path(__file__).parent / "data" / "vllm.yaml")
KEEP_ALIVE_SECONDS: int = _facts["keep_alive_seconds"]
HISTOGRAMS: dict[str, list[float]] = {
    "time_to_first_token": _facts["time_to_first_token_buckets"],
    "inter_token_latency": _facts["inter_token_latency_buckets"],
}


MAX_N = 64
"""Answers that one request may ask for."""

MAX_PROMPTS = 1024
"""Prompts that one request may bring; vLLM's own default (0.32)."""

NO_DOMAIN = "send-media-as-data-urls.invalid"
"""What --allowed-media-domains has where a stack allows none. The name can never exist (RFC 2606), and vLLM
0.32 repeats it to the client: "The URL must be from one of the allowed domains: ['send-media-as-...']"."""
IDLE_SECONDS = 300
"""After so long without work, an engine that generates is asked for one token, to see that it still can.
Others are not: what they have computed is what scales them, and they would not fall asleep."""

PROGRESS_SCRIPT = Path(__file__).parent / "data" / "progress.py"

DISK_GIB = SCRATCH_GIB + 2
"""Disk that a replica asks of its node: scratch, /tmp, and a GiB of logs."""


def startup_seconds(replica: Replica) -> int:
    """How long a start may take before it counts as failed: load, compile, capture graphs."""
    return STARTUP_SECONDS_BESIDES_WEIGHTS + ceil(replica.model.download_gib / LOAD_GIB_PER_SECOND)


def queue_bound(replica: Replica) -> int:
    """Sequences that one replica takes: the queue and the batch, because vLLM counts running ones, too."""
    return replica.max_num_seqs + replica.max_queued_requests


def arguments(replica: Replica) -> list[str]:
    """Arguments of `vllm serve`: the model, then flags in the order of vLLM's own documentation."""
    flags = {
        "--host": "0.0.0.0",
        "--port": str(ENGINE_PORT),
        "--max-model-len": str(replica.max_model_len),
        "--tensor-parallel-size": str(replica.tensor_parallel),
        "--gpu-memory-utilization": str(replica.gpu_memory_utilization),
        "--max-num-seqs": str(replica.max_num_seqs),
        "--max-num-queued-reqs": str(queue_bound(replica)),
        "--shutdown-timeout": str(replica.drain_seconds),
    }
    if replica.quantization is not None and replica.quantization != replica.model.checkpoint:
        # Only to quantise while loading: vLLM reads a quantised checkpoint's own method from its config.json.
        flags["--quantization"] = replica.quantization
    if replica.max_output_tokens is not None:
        # In vLLM a default that holds for every request, also for one that asks for more.
        limit = {"max_new_tokens": replica.max_output_tokens}
        flags["--override-generation-config"] = json.dumps(limit)
    flags |= _task_flags(replica)
    flags |= _chat_flags(replica.chat)
    # Without it the engine fetches whatever address a client names; where it has no way out, it tries for two
    # minutes and answers 500.
    domains = ["--allowed-media-domains", *(replica.allowed_media_domains or (NO_DOMAIN,))]
    kept = slots_for([adapter.rank for adapter in replica.adapters])
    if kept is not None:
        flags |= {"--max-loras": str(kept.slots), "--max-lora-rank": str(kept.rank)}
    buckets = _histogram_buckets(replica)
    if buckets:
        flags["--custom-histogram-buckets"] = json.dumps(buckets, sort_keys=True)
    names = ["--served-model-name", *replica.served_names]
    return [
        MODEL_PATH,
        *names,
        *(part for flag in flags.items() for part in flag),
        # vLLM refuses one without the other.
        *([] if replica.chat.tools is None else ["--enable-auto-tool-choice"]),
        *domains,
        *(
            ["--enable-lora", "--lora-modules", *map(_lora_module, replica.adapters)]
            if replica.adapters
            else []
        ),
    ]


def _lora_module(adapter: Adapter) -> str:
    """In JSON: the shorter name=path knows no commas."""
    return json.dumps(
        {"name": adapter.name, "path": adapter_path(adapter.name, adapter.source, adapter.revision)}
    )


def _task_flags(replica: Replica) -> dict[str, str]:
    """What makes the engine embed or rerank instead of generate, and what the model needs to be told for it.

    vLLM would find out by itself from some repositories; said here, it does not depend on their files.
    """
    model = replica.model
    overrides = {"--hf-overrides": json.dumps(model.hf_overrides)} if model.hf_overrides else {}
    # A template itself in place of a path: vLLM takes what has braces for one.
    template = {} if model.chat_template is None else {"--chat-template": model.chat_template}
    match replica.task:
        case "generate":
            return {**overrides, **template}
        case "embed":
            return {"--runner": "pooling", "--convert": "embed", **overrides, **template}
        case "rerank":
            return {"--runner": "pooling", "--convert": "classify", **overrides, **template}


def _chat_flags(chat: ChatFormat) -> dict[str, str]:
    """How tools and thoughts are found in what the model writes. vLLM sets a built-in parser by itself."""
    tools = {} if chat.tools is None else {"--tool-call-parser": chat.tools}
    reasoning = {} if chat.reasoning is None or chat.built_in else {"--reasoning-parser": chat.reasoning}
    arguments = json.dumps(chat.template_arguments, sort_keys=True)
    template = {"--default-chat-template-kwargs": arguments} if chat.template_arguments else {}
    return {**tools, **reasoning, **template}


def _histogram_buckets(replica: Replica) -> dict[str, list[float]]:
    """Histograms whose defaults lack the service level's latency as an edge, with that edge put in.

    Without it, the share of requests within the objective could only be interpolated.
    """
    objectives = {
        "time_to_first_token": replica.ttft_seconds,
        "inter_token_latency": replica.itl_seconds,
    }
    return {
        family: sorted([*HISTOGRAMS[family], seconds])
        for family, seconds in objectives.items()
        if seconds is not None and seconds not in HISTOGRAMS[family]
    }


def environment(replica: Replica) -> dict[str, str]:
    """Environment variables: every cache on a writable volume, nothing fetched, nothing sent home."""
    return {
        # The user has no home and no entry in /etc/passwd: without these, /.cache and getpwuid fail.
        "HOME": f"{SCRATCH}/home",
        "USER": ENGINE,
        "XDG_CACHE_HOME": f"{SCRATCH}/xdg",
        "XDG_CONFIG_HOME": f"{SCRATCH}/config",
        "HF_HOME": f"{SCRATCH}/huggingface",
        # The weights are on the volume, whole and verified: whatever is missing there is an error, not a
        # download, and no token of the hub is needed here.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_CACHE_ROOT": f"{COMPILED}/vllm",
        "TORCHINDUCTOR_CACHE_DIR": f"{COMPILED}/inductor",
        "TRITON_CACHE_DIR": f"{COMPILED}/triton",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        # One request may otherwise ask for 16384 sequences and starve everyone (CVE-2026-34756). Neither may
        # be above the queue's bound: beyond it vLLM says "try again" to what it can never take.
        "VLLM_MAX_N_SEQUENCES": str(min(MAX_N, queue_bound(replica))),
        "VLLM_MAX_COMPLETION_PROMPTS": str(min(MAX_PROMPTS, queue_bound(replica))),
        # The domains of --allowed-media-domains are asked of the first address only.
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    }


def container(replica: Replica) -> k8s.core.v1.ContainerArgs:
    """The container that serves one replica."""
    shared = shared_memory_gib(replica.tensor_parallel)
    mounts = [
        *weight_volumes.mounts(replica),
        core.VolumeMountArgs(name="compiled", mount_path=COMPILED),
        core.VolumeMountArgs(name="scratch", mount_path=SCRATCH),
        core.VolumeMountArgs(name="tmp", mount_path="/tmp"),
    ]
    if shared:
        mounts.append(core.VolumeMountArgs(name="shared-memory", mount_path="/dev/shm"))
    # GPUs must be equal in requests and limits. Memory is, so that no neighbour can take it. CPU has
    # no limit, because throttling shows up as latency.
    guaranteed = {
        "memory": f"{replica.share.memory_mib}Mi",
        "ephemeral-storage": f"{DISK_GIB}Gi",
        GPU_RESOURCE: str(replica.tensor_parallel),
    }
    return core.ContainerArgs(
        name="engine",
        image=image(ENGINE).reference,
        args=arguments(replica),
        env=[core.EnvVarArgs(name=name, value=value) for name, value in environment(replica).items()],
        ports=[core.ContainerPortArgs(name=HTTP_PORT_NAME, container_port=ENGINE_PORT)],
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": f"{replica.share.cpu_millicores}m", **guaranteed}, limits=guaranteed
        ),
        volume_mounts=mounts,
        security_context=container_security_context(),
        # Every two seconds: once the engine is up, no client should wait for the next probe.
        startup_probe=_probe(period_seconds=2, failure_threshold=ceil(startup_seconds(replica) / 2)),
        readiness_probe=_progress_probe(replica, period_seconds=5, failure_threshold=2),
        liveness_probe=_progress_probe(
            replica,
            period_seconds=10,
            failure_threshold=6,
            # There is nothing to drain in an engine that is dead or stuck.
            termination_grace_period_seconds=PRE_STOP_SECONDS + SHUTDOWN_MARGIN_SECONDS,
        ),
        lifecycle=core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=PRE_STOP_SECONDS))
        ),
        # The log's last lines become the pod's message: kubectl and Pulumi show why it crashed.
        termination_message_policy="FallbackToLogsOnError",
    )


def _probe(period_seconds: int, failure_threshold: int) -> k8s.core.v1.ProbeArgs:
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(path="/health", port=HTTP_PORT_NAME),
        period_seconds=period_seconds,
        timeout_seconds=5,
        failure_threshold=failure_threshold,
    )


LEAST_REQUEST: Mapping[Task, tuple[str, Mapping[str, object]]] = {
    "generate": ("/v1/completions", {"prompt": "a", "max_tokens": 1}),
    "embed": ("/v1/embeddings", {"input": "a"}),
    "rerank": ("/v1/rerank", {"query": "a", "documents": ["a"]}),
}
"""The least that an engine can compute, by task: the path and the body without the model."""


def _progress_probe(
    replica: Replica,
    period_seconds: int,
    failure_threshold: int,
    termination_grace_period_seconds: int | None = None,
) -> k8s.core.v1.ProbeArgs:
    """Whether the engine answers and gets on with its work.

    /health of vLLM 0.32 looks at a flag: an engine whose loop or GPU is stuck keeps it at 200 for hours (vLLM
    issues 39863 and 45526). A script in the engine's own image looks at what it has computed, too.
    """
    path, body = LEAST_REQUEST[replica.task]
    return core.ProbeArgs(
        exec_=core.ExecActionArgs(
            command=[
                "python3",
                "-I",
                "-c",
                PROGRESS_SCRIPT.read_text(encoding="utf-8"),
                f"http://127.0.0.1:{ENGINE_PORT}",
                "/tmp/progress.json",
                str(replica.stuck_after_seconds),
                str(max(IDLE_SECONDS, replica.stuck_after_seconds) if replica.task == "generate" else 0),
                path,
                json.dumps({"model": replica.served_names[0], **body}),
            ]
        ),
        period_seconds=period_seconds,
        timeout_seconds=15,
        failure_threshold=failure_threshold,
        termination_grace_period_seconds=termination_grace_period_seconds,
    )


def volumes(replica: Replica) -> Sequence[k8s.core.v1.VolumeArgs]:
    """Weights that a replica reads, and the places that it writes to."""
    found = [
        *weight_volumes.volumes(replica),
        core.VolumeArgs(
            name="compiled",
            persistent_volume_claim=core.PersistentVolumeClaimVolumeSourceArgs(
                claim_name=compiled_claim(replica)
            ),
        ),
        _empty_dir("scratch", f"{SCRATCH_GIB}Gi"),
        _empty_dir("tmp", "1Gi"),
    ]
    shared = shared_memory_gib(replica.tensor_parallel)
    if shared:
        # Memory of the pod: what is written here counts against the container's memory limit.
        found.append(_empty_dir("shared-memory", f"{shared}Gi", medium="Memory"))
    return found


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
    return f"compiled-{replica.name}-{image(ENGINE).tag.lower()}"


def compiled_claim_spec(storage: WeightsStorage) -> k8s.core.v1.PersistentVolumeClaimSpecArgs:
    """Spec of that claim."""
    return core.PersistentVolumeClaimSpecArgs(
        access_modes=[storage.access_mode],
        storage_class_name=storage.storage_class,
        resources=core.VolumeResourceRequirementsArgs(requests={"storage": f"{COMPILED_GIB}Gi"}),
    )
