"""Memory of weights: what is divided, what is copied, what is padded."""

from __future__ import annotations

import pytest

from sizing.models.architecture import Architecture
from sizing.models.models import model
from sizing.models.weights import gpu_weights_gib, stages, whole


def on_gpu(architecture: Architecture, degree: int) -> float:
    return gpu_weights_gib(architecture, architecture.quantization, degree, whole(architecture))


@pytest.mark.parametrize(
    ("name", "precision", "logged"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "bf16", 14.99),
        ("meta-llama/Llama-3.1-8B-Instruct", "fp8", 8.49),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "fp8", 67.72),
        ("Qwen/Qwen3-8B", "bf16", 15.27),
        ("Qwen/Qwen3-14B", "bf16", 27.52),
        ("openai/gpt-oss-20b", "mxfp4", 13.7),
    ],
)
def test_the_formula_is_what_logs_say(name: str, precision: str, logged: float):
    assert model(name).weights_gib[precision] == pytest.approx(logged, rel=0.005)


def test_gpus_divide_a_dense_model_almost_evenly():
    llama = model("meta-llama/Llama-3.1-70B-Instruct").architecture
    assert on_gpu(llama, 8) == pytest.approx(on_gpu(llama, 1) / 8, rel=0.001)


def test_heads_of_keys_and_values_are_copied_beyond_their_number():
    qwen = model("Qwen/Qwen3-30B-A3B").architecture  # 4 heads
    assert on_gpu(qwen, 8) * 8 - on_gpu(qwen, 1) == pytest.approx(
        # keys and values of 48 layers once more, and what is copied anyway: norms and routers on 7 more GPUs
        (48 * 2 * 2048 * 4 * 128 + 7 * (48 * (128 * 2048 + 128 + 2 * 128 + 2 * 2048) + 2048)) * 2 / 1024**3,
        rel=0.001,
    )


def test_latent_attention_copies_what_is_not_per_head():
    deepseek = model("deepseek-ai/DeepSeek-V3").architecture
    assert on_gpu(deepseek, 8) > on_gpu(deepseek, 1) / 8 * 1.005


def test_the_checkpoint_has_neither_padding_nor_copies():
    for name in ("openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V3"):
        assert model(name).download_gib < model(name).weights_gib[model(name).checkpoint]


@pytest.mark.parametrize(
    ("layers", "count", "expected"),
    [
        (32, 1, [32]),
        (32, 4, [8, 8, 8, 8]),
        (61, 4, [15, 15, 16, 15]),
        (62, 4, [15, 16, 16, 15]),
        (7, 2, [4, 3]),
    ],
)
def test_layers_are_dealt_as_vllm_deals_them(layers: int, count: int, expected: list[int]):
    found = stages(layers, count)
    assert [stage.layers for stage in found] == expected
    assert sum(expected) == layers
    assert [stage.first_layer for stage in found] == [sum(expected[:index]) for index in range(count)]
    assert found[0].first
    assert found[-1].last


def test_stages_together_hold_the_model():
    llama = model("meta-llama/Llama-3.1-8B-Instruct").architecture
    parts = [gpu_weights_gib(llama, llama.quantization, 1, stage) for stage in stages(32, 4)]
    assert sum(parts) == pytest.approx(on_gpu(llama, 1))
    tied = model("Qwen/Qwen3-0.6B").architecture  # the last stage needs the embedding too
    parts = [gpu_weights_gib(tied, tied.quantization, 1, stage) for stage in stages(28, 2)]
    assert sum(parts) - on_gpu(tied, 1) == pytest.approx(151_936 * 1024 * 2 / 1024**3)
