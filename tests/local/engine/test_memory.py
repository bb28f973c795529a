from __future__ import annotations

import pytest

from infra.accelerators import accelerator
from local.engine.memory import kv_blocks, longest_context
from local.engine.refusal import Refused
from serving.memory import GIB, Placement, kv_pool_gib
from serving.models import model


def placement(
    name: str = "meta-llama/Llama-3.1-8B-Instruct",
    gpu: str = "nvidia-h100-80gb",
    weights_gib: float = 14.99,
    tensor_parallel: int = 1,
    utilisation: float = 0.95,
    step_tokens: int = 8192,
    kv_bytes_per_value: int = 2,
    graphs: bool = False,
) -> Placement:
    return Placement(
        model(name), accelerator(gpu), weights_gib, tensor_parallel, utilisation, step_tokens, 16,
        kv_bytes_per_value, graphs,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("placed", "logged_gib"),
    [
        (placement(), 58.11),  # bf16, vLLM 0.19
        (placement(weights_gib=8.49), 64.61),  # fp8 while loading
        (
            placement("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", weights_gib=67.7, tensor_parallel=2),
            37.3,
        ),
    ],
)
def test_the_pool_is_what_public_logs_say(placed: Placement, logged_gib: float):
    # 8 per cent is the mean error of llm-d-planner, whose overheads these are.
    assert kv_pool_gib(placed) == pytest.approx(logged_gib, rel=0.08)


def test_the_tokens_of_a_logged_pool():
    """vLLM 0.19, Llama-3.1-8B bf16 on an H100: 58.11 GiB, 476,016 tokens; twice as many with an 8-bit
    cache."""
    assert kv_blocks(placement(), 8192, 58.11) * 16 == pytest.approx(476_016, rel=0.001)
    assert kv_blocks(placement(kv_bytes_per_value=1), 8192, 58.11) * 16 == pytest.approx(952_032, rel=0.001)


def test_activation_and_graphs_on_a_small_gpu():
    """A public vLLM 0.29 log of an L4 with 2048 batched tokens: 2.17 GiB of activation and graphs."""
    small = placement(gpu="nvidia-l4", weights_gib=0, utilisation=0.92, step_tokens=2048, graphs=True)
    assert 22.03 * 0.92 - 0.25 - kv_pool_gib(small) == pytest.approx(2.17, rel=0.05)


def test_a_request_that_does_not_fit_is_refused_with_the_length_that_would():
    with pytest.raises(Refused, match=r"max seq len \(40960\).*estimated maximum model length is 8192"):
        kv_blocks(placement(), 40960, 1.0)


def test_weights_that_do_not_fit_are_refused():
    too_large = placement("Qwen/Qwen3-32B", "nvidia-l4", weights_gib=61.0)
    assert kv_pool_gib(too_large) < 0
    with pytest.raises(Refused, match=r"No available memory.*61\.00 GiB of weights"):
        kv_blocks(too_large, 1, kv_pool_gib(too_large))


def test_heads_are_copied_beyond_their_number():
    four = placement("Qwen/Qwen3-30B-A3B", tensor_parallel=4)
    eight = placement("Qwen/Qwen3-30B-A3B", tensor_parallel=8)
    assert four.block_bytes == eight.block_bytes


def test_the_longest_context_fills_the_pool_or_is_the_models_own():
    assert longest_context(placement(), 1.0, 131_072) == GIB // (131_072 * 16) * 16
    assert longest_context(placement(), 60.0, 131_072) == 131_072
