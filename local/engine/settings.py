"""What the flags mean: frozen descriptions of the engine and of the server in front of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from infra.accelerators import Accelerator
from infra.choices import UnknownNameError
from local.engine.adapters import Adapters, adapter_settings, adapter_slots
from local.engine.machine import Machine
from local.engine.memory import Placement, kv_blocks, longest_context, place
from local.engine.pooling_settings import Pooling, pooling_settings
from local.engine.precision import weight_precision
from local.engine.refusal import Refused
from local.engine.weights import is_folder, model_in
from serving.fit.request import FitRequest, Measured
from serving.limits import default_running, default_step_tokens
from serving.models import Model, model
from serving.timing import StepTime, step_time
from serving.weights import GIB

DEFAULT_UTILISATION = 0.92
DEFAULT_BLOCK_SIZE = 16
"""Tokens per KV block of vLLM on CUDA."""

AUTO_LENGTH = -1

BUCKET_FAMILIES = frozenset(
    {
        "request_latency", "time_to_first_token", "inter_token_latency", "iteration_tokens",
        "request_params_n", "request_num_preemptions", "request_tokens", "kv_cache_residency",
    }
)  # fmt: skip
"""Keys of --custom-histogram-buckets."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Engine:
    """What runs: the model on its GPUs, the memory that is left, and the limits of a step.

    max_reply: tokens of any one reply, whatever its request asks for; None for no such limit.
    pooling: what it computes if it generates nothing.
    """

    model: Model
    accelerator: Accelerator
    tensor_parallel: int
    precision: str
    weights_gib: float
    max_model_len: int
    max_reply: int | None
    max_running: int
    step_tokens: int
    utilisation: float
    block_size: int
    blocks: int
    kv_pool_gib: float
    kv_cache_dtype: str
    prefix_caching: bool
    graphs: bool
    pooling: Pooling | None
    timing: StepTime


@dataclass(frozen=True)
class Server:
    """What is in front: names, adapters, address, keys, bounds of the queue, and how much is said.

    stream_interval: tokens per event of a streamed reply, at least. max_choices: largest `n`.
    """

    served_names: tuple[str, ...]
    adapters: Adapters | None
    host: str
    port: int
    api_keys: tuple[str, ...]
    shutdown_timeout: float
    max_queued_requests: int | None
    max_queued_tokens: int | None
    max_choices: int
    stream_interval: int
    histogram_buckets: Mapping[str, Sequence[float]]
    statistics: bool
    tools: bool
    prompt_details: bool
    usage_always: bool
    access_log: bool
    quiet_paths: frozenset[str]
    log_level: str


def given(value: Value | None, default: Value) -> Value:
    """The flag's value, or vLLM's default where it was not given."""
    return default if value is None else value


def engine_settings(flags: argparse.Namespace, machine: Machine) -> Engine:
    """The engine that these flags start on this machine. Raises Refused on what vLLM refuses."""
    served = served_model(flags)
    gpu = machine.accelerator
    tensor_parallel = given(flags.tensor_parallel_size, 1)
    check_parallelism(flags, served, tensor_parallel, machine.gpus)
    precision = weight_precision(
        served,
        gpu,
        flags.quantization,
        given(flags.dtype, "auto"),
        flags.allow_deprecated_quantization is True,
    )
    step_tokens = at_least(
        "max_num_batched_tokens", 1, flags.max_num_batched_tokens, default_step_tokens(gpu)
    )
    max_running = at_least("max_num_seqs", 1, flags.max_num_seqs, min(default_running(gpu), step_tokens))
    if step_tokens < max_running:
        raise Refused(
            f"max_num_batched_tokens ({step_tokens}) must be greater than or equal to max_num_seqs "
            f"({max_running})."
        )
    utilisation = given(flags.gpu_memory_utilization, DEFAULT_UTILISATION)
    if not 0 < utilisation <= 1:
        raise Refused(f"gpu_memory_utilization must be greater than 0 and at most 1, got {utilisation}.")
    kv_cache_dtype = given(flags.kv_cache_dtype, "auto")
    given_pool = flags.kv_cache_memory_bytes
    graphs = flags.enforce_eager is not True
    placement = place(
        FitRequest(
            model=served,
            accelerator=gpu,
            tensor_parallel=tensor_parallel,
            quantization=flags.quantization,
            kv_cache_dtype=kv_cache_dtype,
            adapters=adapter_slots(flags),
            gpu_memory_utilization=utilisation,
            max_num_batched_tokens=step_tokens,
            measured=Measured(kv_pool_gib=None if given_pool is None else given_pool / GIB),
        ),
        at_least("block_size", 1, flags.block_size, DEFAULT_BLOCK_SIZE),
        graphs,
    )
    max_model_len = context_length(flags, placement)
    return Engine(
        model=served,
        accelerator=gpu,
        tensor_parallel=tensor_parallel,
        precision=precision,
        weights_gib=placement.memory.weights * tensor_parallel,
        max_model_len=max_model_len,
        max_reply=reply_limit(flags.override_generation_config),
        max_running=max_running,
        step_tokens=step_tokens,
        utilisation=utilisation,
        block_size=placement.block_size,
        blocks=given(flags.num_gpu_blocks_override, kv_blocks(placement, max_model_len)),
        kv_pool_gib=placement.memory.pool,
        kv_cache_dtype=kv_cache_dtype,
        prefix_caching=flags.enable_prefix_caching is not False,
        graphs=graphs,
        pooling=pooling_settings(flags, served),
        timing=step_time(served, gpu, precision, tensor_parallel),
    )


def server_settings(flags: argparse.Namespace, machine: Machine) -> Server:
    """The server that these flags start. Raises Refused on what vLLM refuses."""
    host, port = machine.listen or (given(flags.host, "0.0.0.0"), given(flags.port, 8000))
    served_names = tuple(given(flags.served_model_name, [model_argument(flags)]))
    return Server(
        served_names=served_names,
        adapters=adapter_settings(flags, served_names),
        host=host,
        port=port,
        api_keys=tuple(given(flags.api_key, [])),
        shutdown_timeout=at_least("shutdown_timeout", 0, flags.shutdown_timeout, 0),
        max_queued_requests=optional_bound("max_num_queued_reqs", flags.max_num_queued_reqs),
        max_queued_tokens=optional_bound("max_num_queued_tokens", flags.max_num_queued_tokens),
        max_choices=machine.max_choices,
        stream_interval=at_least("stream_interval", 1, flags.stream_interval, 1),
        histogram_buckets=custom_buckets(flags.custom_histogram_buckets),
        statistics=flags.disable_log_stats is not True,
        tools=flags.enable_auto_tool_choice is True,
        prompt_details=flags.enable_prompt_tokens_details is True,
        usage_always=flags.enable_force_include_usage is True,
        access_log=flags.disable_uvicorn_access_log is not True,
        quiet_paths=frozenset(given(flags.disable_access_log_for_endpoints, "").split(",")) - {""},
        log_level=given(flags.uvicorn_log_level, "info"),
    )


def model_argument(flags: argparse.Namespace) -> str:
    """What vLLM is told to serve, a repository or a folder. Raises Refused."""
    name = flags.model if flags.model_tag is None else flags.model_tag
    if name is None:
        raise Refused("no model given: vllm serve MODEL [flags]")
    return name


def served_model(flags: argparse.Namespace) -> Model:
    """The model to serve: of a folder with weights, or by its name. Raises Refused.

    The emulator knows the models of one table, and of a folder without a manifest what its config.json says.
    """
    name = model_argument(flags)
    if is_folder(name):
        return model_in(Path(name))
    try:
        return model(name)
    except UnknownNameError as error:
        raise Refused(f"the emulator knows only the models of serving/data/models.yaml: {error}") from None


def check_parallelism(flags: argparse.Namespace, served: Model, tensor_parallel: int, gpus: int) -> None:
    at_least("tensor_parallel_size", 1, tensor_parallel, 1)
    for name in ("pipeline_parallel_size", "data_parallel_size"):
        if given(getattr(flags, name), 1) != 1:
            raise Refused(f"the emulator has one engine and one stage: --{name.replace('_', '-')} must be 1")
    if served.attention_heads % tensor_parallel:
        raise Refused(
            f"Total number of attention heads ({served.attention_heads}) must be divisible by tensor "
            f"parallel size ({tensor_parallel})."
        )
    if tensor_parallel > gpus:
        raise Refused(
            f"World size ({tensor_parallel}) is larger than the number of available GPUs ({gpus}) in "
            "this node."
        )


def context_length(flags: argparse.Namespace, placement: Placement) -> int:
    """--max-model-len: given, the model's own, or with `auto` the longest that fits the pool."""
    longest = placement.chosen.request.model.max_context
    asked = at_least("max_model_len", AUTO_LENGTH, flags.max_model_len, longest)
    if asked == AUTO_LENGTH:
        return longest_context(placement, longest)
    if asked > longest:
        raise Refused(
            f"User-specified max_model_len ({asked}) is greater than the derived max_model_len "
            f"(max_position_embeddings={longest} in model's config.json)."
        )
    if asked == 0:
        raise Refused("max_model_len must be at least 1, got 0.")
    return asked


def reply_limit(value: object) -> int | None:
    """--override-generation-config: of its fields, `max_new_tokens` bounds every reply of the server."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Refused("override_generation_config takes a JSON object.")
    limit = value.get("max_new_tokens")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise Refused(f"max_new_tokens must be a whole number of at least 1, got {limit!r}.")
    return limit


def custom_buckets(value: object) -> Mapping[str, Sequence[float]]:
    """--custom-histogram-buckets: {family: ascending positive bounds}."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not set(value) <= BUCKET_FAMILIES:
        raise Refused(
            f"custom_histogram_buckets takes a JSON object with keys among {sorted(BUCKET_FAMILIES)}."
        )
    for family, bounds in value.items():
        numbers = isinstance(bounds, list) and all(isinstance(bound, int | float) for bound in bounds)
        if not numbers or not bounds or sorted(set(bounds)) != bounds or bounds[0] <= 0:
            raise Refused(f"custom_histogram_buckets[{family!r}]: bounds must be ascending positive numbers.")
    return value


def at_least(name: str, minimum: int, value: int | None, default: int) -> int:
    chosen = given(value, default)
    if chosen < minimum:
        raise Refused(f"{name} must be at least {minimum}, got {chosen}.")
    return chosen


def optional_bound(name: str, value: int | None) -> int | None:
    return None if value is None else at_least(name, 0, value, 0)
