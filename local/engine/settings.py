"""What the flags mean for the engine; what they mean for the server in front stands in server_settings.py."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from local.engine.adapters import adapter_slots
from local.engine.machine import Machine
from local.engine.memory import Placement, kv_blocks, longest_context, place
from local.engine.pooling_settings import Pooling, pooling_settings
from local.engine.precision import weight_precision
from local.engine.refusal import Refused
from local.engine.weights import is_folder, model_in
from sizing.capacity.limits import default_running, default_step_tokens
from sizing.capacity.timing import StepTime, step_time
from sizing.choices import UnknownNameError
from sizing.fit.concurrency import most_sequences
from sizing.fit.request import FitRequest, Measured
from sizing.hardware.accelerators import Accelerator
from sizing.models.models import Model, model
from sizing.models.weights import GIB

DEFAULT_UTILISATION = 0.92
DEFAULT_BLOCK_SIZE = 16
"""Tokens per KV block of vLLM on CUDA."""

AUTO_LENGTH = -1

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
            max_num_seqs=max_running,
            enforce_eager=not graphs,
            measured=Measured(kv_pool_gib=None if given_pool is None else given_pool / GIB),
        ),
        at_least("block_size", 1, flags.block_size, DEFAULT_BLOCK_SIZE),
        graphs,
    )
    max_model_len = context_length(flags, placement)
    blocks = kv_blocks(placement, max_model_len)
    check_sequences(max_running, placement, flags.num_gpu_blocks_override)
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
        blocks=given(flags.num_gpu_blocks_override, blocks),
        kv_pool_gib=placement.memory.pool,
        kv_cache_dtype=kv_cache_dtype,
        prefix_caching=flags.enable_prefix_caching is not False,
        graphs=graphs,
        pooling=pooling_settings(flags, served),
        timing=step_time(served, gpu, precision, tensor_parallel),
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
        raise Refused(
            f"the emulator knows only the models of sizing/models/data/models.yaml: {error}"
        ) from None


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


def check_sequences(max_running: int, placement: Placement, blocks_override: int | None) -> None:
    """Raises Refused, as vLLM 0.32 does when it captures graphs of a model with recurrent layers."""
    most = most_sequences(placement.chosen, (placement.pool,))
    if most is not None:
        most = given(blocks_override, most)
    if most is not None and max_running > most:
        raise Refused(
            f"max_num_seqs ({max_running}) exceeds available Mamba cache blocks ({most}). Each decode "
            "sequence requires one Mamba cache block, so CUDA graph capture cannot proceed. Please lower "
            f"max_num_seqs to at most {most} or increase gpu_memory_utilization."
        )


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


def at_least(name: str, minimum: int, value: int | None, default: int) -> int:
    chosen = given(value, default)
    if chosen < minimum:
        raise Refused(f"{name} must be at least {minimum}, got {chosen}.")
    return chosen
