from __future__ import annotations

from dataclasses import replace

import pytest

from local.engine.memory import Placement, kv_blocks, longest_context, place
from local.engine.refusal import Refused
from sizing.fit.adapters import AdapterSlots
from sizing.fit.request import FitRequest, Measured
from sizing.hardware.accelerators import accelerator
from sizing.models.models import model
from sizing.models.weights import GIB

LLAMA = FitRequest(
    model("meta-llama/Llama-3.1-8B-Instruct"),
    accelerator("nvidia-h100-80gb"),
    gpu_memory_utilization=0.95,
    measured=Measured(weights_gib=14.99),
)


def placed(request: FitRequest, graphs: bool = False) -> Placement:
    return place(request, block_size=16, graphs=graphs)


def with_pool(gib: float, kv_cache_dtype: str = "auto") -> Placement:
    return placed(replace(LLAMA, measured=Measured(kv_pool_gib=gib), kv_cache_dtype=kv_cache_dtype))


def test_the_tokens_of_a_logged_pool():
    """vLLM 0.19, Llama-3.1-8B bf16 on an H100: 58.11 GiB, 476,016 tokens; twice as many with an 8-bit
    cache."""
    assert kv_blocks(with_pool(58.11), 8192) * 16 == pytest.approx(476_016, rel=0.001)
    assert kv_blocks(with_pool(58.11, "fp8"), 8192) * 16 == pytest.approx(952_032, rel=0.001)


def test_activation_and_graphs_on_a_small_gpu():
    """A public vLLM 0.29 log of Qwen3.5-4B on an L4 with 2048 batched tokens: 2.17 GiB of activation and
    graphs."""
    small = placed(
        FitRequest(model("Qwen/Qwen3.5-4B"), accelerator("nvidia-l4"), gpu_memory_utilization=0.92),
        graphs=True,
    )
    assert small.memory.activation + small.memory.cuda_graphs == pytest.approx(2.17, rel=0.05)


def test_eager_mode_leaves_the_graphs_to_the_cache():
    gained = placed(LLAMA, graphs=False).memory.pool - placed(LLAMA, graphs=True).memory.pool
    assert gained == pytest.approx(1.04)


def test_a_request_that_does_not_fit_is_refused_with_the_length_that_would():
    with pytest.raises(Refused, match=r"max seq len \(40960\).*estimated maximum model length is 8192"):
        kv_blocks(with_pool(1.0), 40960)


def test_weights_that_do_not_fit_are_refused():
    too_large = placed(FitRequest(model("Qwen/Qwen3-32B"), accelerator("nvidia-l4")))
    assert too_large.memory.pool < 0
    with pytest.raises(Refused, match=r"No available memory.*61\.02 GiB of weights"):
        kv_blocks(too_large, 1)


def test_an_unknown_type_is_refused():
    with pytest.raises(Refused, match="turbo"):
        placed(replace(LLAMA, kv_cache_dtype="turbo"))


def test_layers_with_a_window_count_as_the_engine_reports_them():
    """Qwen3.5-4B, vLLM 0.29: 9.1 GiB and 8.17 requests of 32768 tokens, 267,842 tokens."""
    hybrid = placed(
        FitRequest(model("Qwen/Qwen3.5-4B"), accelerator("nvidia-l4"), measured=Measured(kv_pool_gib=9.1))
    )
    assert kv_blocks(hybrid, 32768) * 16 == pytest.approx(267_842, rel=0.001)


def test_the_longest_context_fills_the_pool_or_is_the_models_own():
    assert longest_context(with_pool(1.0), 131_072) == GIB // (131_072 * 16) * 16
    assert longest_context(with_pool(60.0), 131_072) == 131_072


def test_room_for_adapters_comes_off_the_pool():
    small = FitRequest(model("Qwen/Qwen3-8B"), accelerator("nvidia-l4"), quantization="fp8")
    kept = replace(small, adapters=AdapterSlots(4, 64))
    assert placed(small).memory.pool - placed(kept).memory.pool == pytest.approx(
        4
        * 4
        * 97_280_000
        / GIB  # four slots, and four times the rank, of what vLLM 0.32 allocates for one of 16
    )
