"""vLLM. Pure: it depends on its arguments and the data files alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import get_args

from serving.engines.engine import Compiled, Engine, EngineMetrics, Feature, Probe, Probes, StartLog
from serving.gateway.served import Upstream
from serving.names import ENGINE_PORT
from serving.replica import Adapter, Replica
from serving.weights.layout import MODEL_PATH, adapter_path
from sizing.fit.adapters import LORA_RANKS, slots_for
from sizing.models.chat import ChatFormat
from sizing.models.task import Task
from sizing.tables import read_data

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

EXIT_SECONDS = 5
"""From the end of the drain to the kill. What has not ended then is cut: vLLM 0.32 and 0.33 kill their engine
when --shutdown-timeout is over and, in 7 of 11 runs, left the open connections without a byte or an end until
the process was killed. A drain that ends in time needs none of it: the process is gone 8 s after the last
answer (0.33), and nothing is lost if it is killed while it unloads."""


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
    kept = slots_for([adapter.rank for adapter in replica.adapters], LORA_RANKS)
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
        "USER": "vllm",
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


LEAST_REQUEST: Mapping[Task, tuple[str, Mapping[str, object]]] = {
    "generate": ("/v1/completions", {"prompt": "a", "max_tokens": 1}),
    "embed": ("/v1/embeddings", {"input": "a"}),
    "rerank": ("/v1/rerank", {"query": "a", "documents": ["a"]}),
}
"""The least that an engine can compute, by task: the path and the body without the model."""


def probes(replica: Replica) -> Probes:
    """Whether the engine is up, answers, and gets on with its work.

    /health of vLLM 0.32 looks at a flag: an engine whose loop or GPU is stuck keeps it at 200 for hours (vLLM
    issues 39863 and 45526). A script in the engine's own image looks at what it has computed, too.
    """
    path, body = LEAST_REQUEST[replica.task]
    progress = (
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
    )
    return Probes(
        # Every two seconds: once the engine is up, no client should wait for the next probe.
        startup=Probe("/health", 2, ceil(startup_seconds(replica) / 2), timeout_seconds=5),
        readiness=Probe(progress, 5, 2, timeout_seconds=15),
        liveness=Probe(progress, 10, 6, timeout_seconds=15),
    )


VLLM = Engine(
    name="vllm",
    image="vllm",
    user=UID,
    memory="vllm",
    tasks=frozenset(get_args(Task)),
    features=frozenset(get_args(Feature)),
    adapter_ranks=LORA_RANKS,
    # HEAD of /health is 405 at once, whatever it computes (0.32).
    upstream=Upstream(ENGINE_PORT, _facts["keep_alive_seconds"], check_path="/health", full_status=503),
    metrics_port=ENGINE_PORT,
    metrics=EngineMetrics(
        # production-stack's router copies vllm:num_requests_running and _waiting, with `server` for `engine`.
        own_label="engine",
        running="vllm:num_requests_running",
        waiting="vllm:num_requests_waiting",
        # From vLLM 0.24 on. The other reason, deferred, is no lack of replicas (LoRA budget, KV transfer).
        waiting_for_capacity='vllm:num_requests_waiting_by_reason{reason="capacity"}',
        kv_cache_usage="vllm:kv_cache_usage_perc",
        generation_tokens="vllm:generation_tokens_total",
        prompt_tokens="vllm:prompt_tokens_total",
        first_token_buckets="vllm:time_to_first_token_seconds_bucket",
        # One gauge per counter and histogram with the time of its creation: a fifth of all series.
        dropped=("(vllm:|http_).+_created",),
    ),
    checks_names=True,
    scratch=SCRATCH,
    compiled=Compiled(COMPILED, COMPILED_GIB),
    exit_seconds=EXIT_SECONDS,
    # vLLM 0.32: default_loader.py, compilation/monitor.py, compilation/decorators.py, worker/model_runner.py;
    # the first is Uvicorn's.
    start_log=StartLog(
        started=re.compile(r"Started server process"),
        weights=re.compile(r"Loading weights took ([\d.]+) seconds"),
        compiled=re.compile(
            r"torch\.compile(?: and initial profiling/warmup run together)? took ([\d.]+) s in total"
        ),
        captured=re.compile(r"Graph capturing finished in ([\d.]+) secs"),
        from_cache=re.compile(r"Directly load (?:AOT compilation|the compiled graph)"),
    ),
    arguments=arguments,
    environment=environment,
    probes=probes,
    startup_seconds=startup_seconds,
)
