"""vLLM's metric families, with its names, types, labels and buckets, through the library that vLLM uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from local.engine import scheduler
from local.engine.server_settings import Server
from local.engine.settings import Engine

ENGINE_INDEX = "0"
"""One data-parallel engine."""

FINISH_REASONS = ("stop", "length", "abort", "error", "repetition")
WAITING_REASONS = ("capacity", "deferred")
SLEEP_STATES = ("awake", "weights_offloaded", "discard_all")
PROMPT_SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")
CACHE_TIERS = ("device", "host", "p2p", "disk", "external_unspecified")
REJECTIONS = ("max_num_queued_reqs", "max_num_queued_tokens")

BUCKETS: Mapping[str, Sequence[float]] = {
    "request_latency": (
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
    ),
    "time_to_first_token": (
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160,
        640, 2560,
    ),
    "inter_token_latency": (
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
    ),
    "iteration_tokens": (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384),
    "request_params_n": (1, 2, 5, 10, 20),
    "request_num_preemptions": (1, 2, 3, 4, 5, 10, 20),
}  # fmt: skip
"""Bounds of each family of histograms; request_tokens follows the model's context."""

COUNTERS: Mapping[str, str] = {
    "estimated_flops_per_gpu": "Floating point operations; stays 0, as without --enable-mfu-metrics",
    "estimated_read_bytes_per_gpu": "Bytes read from GPU memory; stays 0",
    "estimated_write_bytes_per_gpu": "Bytes written to GPU memory; stays 0",
    "prefix_cache_queries": "Prompt tokens looked up in the prefix cache",
    "prefix_cache_hits": "Prompt tokens found in the prefix cache",
    "external_prefix_cache_queries": "Prompt tokens looked up in a shared cache; stays 0",
    "external_prefix_cache_hits": "Prompt tokens found in a shared cache; stays 0",
    "mm_cache_queries": "Images and other inputs looked up; stays 0",
    "mm_cache_hits": "Images and other inputs found; stays 0",
    "num_preemptions": "Running requests that lost their memory",
    "prompt_tokens": "Prompt tokens of requests that got their first token",
    "prompt_tokens_cached": "Prompt tokens that did not have to be computed",
    "generation_tokens": "Tokens generated",
}
LABELLED_COUNTERS: Mapping[str, tuple[str, Sequence[str], str]] = {
    "prompt_tokens_by_source": ("source", PROMPT_SOURCES, "Prompt tokens by where they came from"),
    "prompt_tokens_cached_by_source": ("source", CACHE_TIERS, "Cached prompt tokens by tier of the cache"),
    "request_success": ("finished_reason", FINISH_REASONS, "Requests that ended, by how"),
}
HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    "request_prompt_tokens": ("request_tokens", "Prompt tokens of a request"),
    "request_generation_tokens": ("request_tokens", "Generated tokens of a request"),
    "iteration_tokens_total": ("iteration_tokens", "Tokens computed and generated in a step"),
    "request_max_num_generation_tokens": ("request_tokens", "Longest reply among the choices of a request"),
    "request_params_n": ("request_params_n", "Choices asked for"),
    "request_params_max_tokens": ("request_tokens", "Length asked for"),
    "time_to_first_token_seconds": ("time_to_first_token", "From arrival to the first token"),
    "inter_token_latency_seconds": ("inter_token_latency", "Between two tokens of a request"),
    "request_time_per_output_token_seconds": ("inter_token_latency", "Mean time per token after the first"),
    "e2e_request_latency_seconds": ("request_latency", "From arrival to the last token"),
    "request_queue_time_seconds": ("request_latency", "From queued to scheduled"),
    "request_inference_time_seconds": ("request_latency", "From scheduled to the last token"),
    "request_prefill_time_seconds": ("request_latency", "From scheduled to the first token"),
    "request_decode_time_seconds": ("request_latency", "From the first token to the last"),
    "request_num_preemptions": ("request_num_preemptions", "Times a request lost its memory"),
    "request_prefill_kv_computed_tokens": ("request_tokens", "Prompt tokens that had to be computed"),
}


@dataclass(frozen=True)
class Finished:
    """Times (seconds on the engine's clock) and counts of a request that has ended.

    max_tokens: None for a pooling request, which has no such parameter.
    """

    reason: str
    arrived: float
    queued: float
    scheduled: float
    first_token: float
    last_token: float
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    max_tokens: int | None
    preemptions: int


def one_two_five(limit: int) -> list[float]:
    """1, 2, 5, 10, 20, 50 … up to `limit`: the bounds of token counts."""
    bounds: list[float] = []
    scale = 1
    while True:
        for mantissa in (1, 2, 5):
            if mantissa * scale > limit:
                return bounds
            bounds.append(mantissa * scale)
        scale *= 10


class EngineMetrics:
    """The families of one engine. All series exist, at zero, from the start, as in vLLM."""

    def __init__(self, registry: CollectorRegistry, engine: Engine, server: Server) -> None:
        self.registry = registry
        self._names = ("model_name", "engine")
        self._values = (server.served_names[0], ENGINE_INDEX)
        self._buckets = {
            **BUCKETS, "request_tokens": one_two_five(engine.max_model_len), **server.histogram_buckets
        }  # fmt: skip
        self.running = self._gauge("num_requests_running", "Requests in the batch")
        self.waiting = self._gauge("num_requests_waiting", "Requests in the queue")
        self.waiting_by_reason = self._labelled_gauge(
            "num_requests_waiting_by_reason",
            "reason",
            WAITING_REASONS,
            "Requests in the queue, by why they wait",
        )
        self.sleep_state = self._labelled_gauge(
            "engine_sleep_state", "sleep_state", SLEEP_STATES, "1 for the state the engine is in"
        )
        self.sleep_state["awake"].set(1)
        self.kv_cache_usage = self._gauge("kv_cache_usage_perc", "KV cache in use, 0 to 1")
        self.counters = {name: self._counter(name, help_text) for name, help_text in COUNTERS.items()}
        self.by_label = {
            name: self._labelled_counter(name, label, values, help_text)
            for name, (label, values, help_text) in LABELLED_COUNTERS.items()
        }
        self.rejections = self._rejections(server.served_names[0])
        self.histograms = {name: self._histogram(name, *row) for name, row in HISTOGRAMS.items()}
        self._adapters = None if server.adapters is None else self._adapter_gauge()
        self._adapters_at_once = "0" if server.adapters is None else str(server.adapters.at_once)
        self._cache_information(engine)
        self._generated = self.counters["generation_tokens"]
        self._step_tokens = self.histograms["iteration_tokens_total"]
        self._inter_token = self.histograms["inter_token_latency_seconds"]

    def finish(self, request: Finished) -> None:
        """Records a request that has ended."""
        decode = request.last_token - request.first_token
        per_token = decode / (request.generated_tokens - 1) if request.generated_tokens > 1 else 0.0
        observed = {
            "e2e_request_latency_seconds": request.last_token - request.arrived,
            "request_queue_time_seconds": request.scheduled - request.queued,
            "request_prefill_time_seconds": request.first_token - request.scheduled,
            "request_inference_time_seconds": request.last_token - request.scheduled,
            "request_decode_time_seconds": decode,
            "request_num_preemptions": request.preemptions,
            "request_prefill_kv_computed_tokens": request.prompt_tokens - request.cached_tokens,
            "request_prompt_tokens": request.prompt_tokens,
            "request_generation_tokens": request.generated_tokens,
            "request_time_per_output_token_seconds": per_token,
        }
        if request.max_tokens is not None:
            observed["request_params_max_tokens"] = request.max_tokens
        self.by_label["request_success"][request.reason].inc()
        for name, value in observed.items():
            self.histograms[name].observe(value)

    def first_token(self, seconds: float, prompt_tokens: int, cached_tokens: int) -> None:
        self.histograms["time_to_first_token_seconds"].observe(seconds)
        self.counters["prompt_tokens"].inc(prompt_tokens)
        self.counters["prompt_tokens_cached"].inc(cached_tokens)
        self.by_label["prompt_tokens_by_source"]["local_compute"].inc(prompt_tokens - cached_tokens)
        self.by_label["prompt_tokens_by_source"]["local_cache_hit"].inc(cached_tokens)

    def next_token(self, seconds: float) -> None:
        self._inter_token.observe(seconds)

    def load(self, running: int, waiting: int, usage: float) -> None:
        """Shows the batch, the queue, and the share of the KV cache in use."""
        self.running.set(running)
        self.waiting.set(waiting)
        self.waiting_by_reason["capacity"].set(waiting)
        self.kv_cache_usage.set(usage)

    def adapters(self, running: Iterable[scheduler.Sequence], waiting: Iterable[scheduler.Sequence]) -> None:
        """Shows which adapters the batch and the queue are about: the value is the time, as in vLLM."""
        if self._adapters is None:
            return
        # vLLM names an adapter in both lists as soon as it is in one of them.
        names = {sequence.adapter for each in (running, waiting) for sequence in each} - {None}
        shown = ",".join(sorted(name for name in names if name is not None))
        self._adapters.labels(self._adapters_at_once, shown, shown).set_to_current_time()

    def step(self, prefilled: int, generated: int) -> None:
        """Records a step. `prefilled` counts prompt tokens whose prefill ended in this step, as vLLM does."""
        self._generated.inc(generated)
        self._step_tokens.observe(prefilled + generated)

    def prefix_lookup(self, queried: int, hits: int) -> None:
        self.counters["prefix_cache_queries"].inc(queried)
        self.counters["prefix_cache_hits"].inc(hits)
        self.by_label["prompt_tokens_cached_by_source"]["device"].inc(hits)

    def choices(self, count: int, longest: int) -> None:
        """Records a request with all its choices, once the last of them has ended."""
        self.histograms["request_params_n"].observe(count)
        self.histograms["request_max_num_generation_tokens"].observe(longest)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"vllm:{name}", help_text, self._names, registry=self.registry).labels(*self._values)

    def _labelled_gauge(
        self, name: str, label: str, values: Sequence[str], help_text: str
    ) -> dict[str, Gauge]:
        gauge = Gauge(f"vllm:{name}", help_text, (*self._names, label), registry=self.registry)
        return {value: gauge.labels(*self._values, value) for value in values}

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(f"vllm:{name}", help_text, self._names, registry=self.registry).labels(*self._values)

    def _labelled_counter(
        self, name: str, label: str, values: Sequence[str], help_text: str
    ) -> dict[str, Counter]:
        counter = Counter(f"vllm:{name}", help_text, (*self._names, label), registry=self.registry)
        return {value: counter.labels(*self._values, value) for value in values}

    def _adapter_gauge(self) -> Gauge:
        """Without a series until the first step, and without the model's name, as in vLLM."""
        return Gauge(
            "vllm:lora_requests_info",
            "Adapters of running and of waiting requests; the value is the time of the last step",
            ("max_lora", "waiting_lora_adapters", "running_lora_adapters"),
            registry=self.registry,
        )

    def _rejections(self, model_name: str) -> dict[str, Counter]:
        counter = Counter(
            "vllm:admission_rejections",
            "Requests refused because the queue is full, by which bound",
            ("model_name", "reason"),
            registry=self.registry,
        )
        return {reason: counter.labels(model_name, reason) for reason in REJECTIONS}

    def _histogram(self, name: str, family: str, help_text: str) -> Histogram:
        return Histogram(
            f"vllm:{name}", help_text, self._names, registry=self.registry, buckets=self._buckets[family]
        ).labels(*self._values)

    def _cache_information(self, engine: Engine) -> None:
        labels = cache_information(engine)
        gauge = Gauge(
            "vllm:cache_config_info", "Settings of the KV cache", tuple(labels), registry=self.registry
        )
        gauge.labels(**labels).set(1)


def cache_information(engine: Engine) -> dict[str, str]:
    """Labels of vllm:cache_config_info. Settings that the emulator does not have carry vLLM's defaults."""
    concurrency = engine.blocks * engine.block_size / engine.max_model_len
    return {
        "_block_size_resolved": "True",
        "block_size": str(engine.block_size),
        "cache_dtype": engine.kv_cache_dtype,
        "cache_hit_alignment_tokens": "None",
        "effective_attention_block_size": str(engine.block_size),
        "enable_mamba_shared_prefix_checkpoint": "False",
        "enable_prefix_caching": str(engine.prefix_caching),
        "engine": ENGINE_INDEX,
        "gpu_memory_utilization": str(engine.utilisation),
        "hash_block_size": "None",
        "is_attention_free": "False",
        "kv_cache_dtype_skip_layers": "[]",
        "kv_cache_layout": "None",
        "kv_cache_max_concurrency": str(concurrency),
        "kv_cache_memory_bytes": "None",
        "kv_cache_size_tokens": str(engine.blocks * engine.block_size),
        "kv_offloading_backend": "native",
        "kv_offloading_size": "None",
        "kv_sharing_fast_prefill": "False",
        "mamba_block_size": "None",
        "mamba_cache_dtype": "auto",
        "mamba_cache_mode": "none",
        "mamba_page_size_padded": "None",
        "mamba_ssm_cache_dtype": "float32",
        "num_cpu_blocks": "None",
        "num_gpu_blocks": str(engine.blocks),
        "num_gpu_blocks_override": "None",
        "prefix_cache_retention_interval": "0",
        "prefix_caching_hash_algo": "sha256",
        "prefix_match_unit": "None",
        "replayssm_buffer_len": "16",
        "skip_page_size_padded": "None",
        "sliding_window": "None",
        "swa_bounded_replay": "True",
        "use_kda_recoverssm": "False",
        "use_replayssm": "False",
        "user_specified_block_size": "False",
    }
