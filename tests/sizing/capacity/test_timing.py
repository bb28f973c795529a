from __future__ import annotations

import pytest

from sizing.capacity.batch import Requests
from sizing.capacity.steps import step_seconds
from sizing.capacity.timing import (
    BYTES_PER_VALUE,
    StepTime,
    fitted_roofline,
    measured_rows,
    roofline_time,
    same_architecture,
    step_time,
)
from sizing.hardware.accelerators import ACCELERATORS, accelerator
from sizing.models.models import MODELS, model

LLAMA_70B_FP8 = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"


def test_a_step_is_linear_in_its_work():
    timing = StepTime(10.0, 0.5, 0.01, "measured", "test", sequence_ms=0.25)
    assert timing.seconds(4, 1000, sequences=2) == pytest.approx(0.0225)


def test_a_step_reads_the_experts_that_its_tokens_are_sent_to():
    timing = StepTime(2.0, 0.0, 0.0, "measured", "test", experts_ms=8.0, unread=0.75)
    # One of four experts for each token: 1/4 of 8 ms for one token, 1 - 9/16 for two.
    assert timing.seconds(1, 0, 1) == pytest.approx(0.004)
    assert timing.seconds(2, 0, 2) == pytest.approx(0.0055)
    assert timing.seconds(1000, 0, 1000) == pytest.approx(timing.full_read_ms / 1000)


def test_experts_are_read_at_their_own_efficiency():
    timing = roofline_time(
        fitted_roofline(), model("openai/gpt-oss-120b"), accelerator("nvidia-h200-141gb"), "mxfp4", 2
    )
    # 116.8 - 5.1 billion are 124 of 128 experts: 115.3 in all, of 0.53 bytes, over 2 x 4800 GB/s.
    assert timing.unread == 124 / 128
    assert timing.experts_ms == pytest.approx(
        115.3 * BYTES_PER_VALUE["mxfp4"] / 9.6 / fitted_roofline().experts_read_efficiency, rel=0.01
    )
    # 1.5 billion in 16 bits, and 36 layers.
    assert timing.alpha_ms == pytest.approx(1.5 * 2 / 9.6 / 0.9778 + 36 * 0.06975, rel=0.01)


PUBLIC = [
    # ai-dynamo/aiconfigurator, silicon_sample.csv (Apache-2.0): model, GPU, precision, GPUs, prompt, output,
    # concurrency, time per output token in ms.
    ("openai/gpt-oss-120b", "nvidia-h100-80gb", "mxfp4", 2, 1024, 1024, 64, 14.8),
    ("openai/gpt-oss-120b", "nvidia-b200", "mxfp4", 1, 1024, 1024, 64, 10.5),
    ("openai/gpt-oss-120b", "nvidia-h200-141gb", "mxfp4", 1, 1024, 1024, 64, 24.8),
    ("MiniMaxAI/MiniMax-M2.5", "nvidia-h200-141gb", "fp8", 4, 1024, 1024, 64, 25.7),
    ("MiniMaxAI/MiniMax-M2.5", "nvidia-b200", "fp8", 2, 1024, 1024, 64, 22.2),
    ("Qwen/Qwen3-32B", "nvidia-h100-80gb", "bf16", 2, 1024, 1024, 64, 26.1),
    ("meta-llama/Llama-3.1-70B-Instruct", "nvidia-h100-80gb", "fp8", 2, 1024, 1024, 64, 29.9),
]


@pytest.mark.parametrize(
    ("name", "gpu", "precision", "gpus", "prompt", "output", "streams", "tpot_ms"), PUBLIC
)
def test_public_measurements_are_met(
    name: str, gpu: str, precision: str, gpus: int, prompt: int, output: int, streams: int, tpot_ms: float
):
    timing = step_time(model(name), accelerator(gpu), precision, gpus)
    requests = Requests(prompt, output, 1.0, 1.0)
    assert step_seconds(timing, streams, requests) * 1000 == pytest.approx(tpot_ms, rel=0.25)


@pytest.mark.parametrize(
    ("prompt_tokens", "least", "most"),
    # llm-d measured 514 to 533 ms for 8,192 tokens of Qwen3-32B on two H100s; a published model of the
    # operations alone says 30 ms for 512.
    [(8192, 490, 590), (512, 30, 95)],
)
def test_a_first_token_pays_for_its_prompt_and_no_second_price(prompt_tokens: int, least: float, most: float):
    timing = step_time(model("Qwen/Qwen3-32B"), accelerator("nvidia-h100-80gb"), "bf16", 2)
    alone = timing.request_ms + timing.read_ms(prompt_tokens) + timing.prompt_token_ms * prompt_tokens
    assert least < alone < most


@pytest.mark.parametrize(
    ("gpu", "streams", "tpot_ms"), [("nvidia-h100-80gb", 710, 91), ("nvidia-a100-80gb", 221, 49)]
)
def test_small_models_in_large_batches_take_time_for_each_sequence(gpu: str, streams: int, tpot_ms: float):
    # GPUStack's documentation of gpt-oss-20b with ShareGPT: 16,701 and 9,743 tokens/s in all.
    timing = step_time(model("openai/gpt-oss-20b"), accelerator(gpu), "mxfp4", 1)
    shape = Requests(217, 190, 1.0, 1.0)
    assert step_seconds(timing, streams, shape) * 1000 == pytest.approx(tpot_ms, rel=0.05)


def test_measured_hardware_gives_measured_constants():
    timing = step_time(model(LLAMA_70B_FP8), accelerator("nvidia-h100-80gb"), "fp8", 4)
    assert timing.basis == "measured"
    # Published fits of the same data, without a time per sequence: alpha 11.08, beta 0.0448, gamma 2.93e-5.
    assert timing.alpha_ms == pytest.approx(11.08, rel=0.05)
    assert timing.beta_ms == pytest.approx(0.0448, rel=0.10)
    assert timing.gamma_ms == pytest.approx(2.93e-5, rel=0.15)
    assert "error" in timing.source


@pytest.mark.parametrize(
    ("name", "gpu", "precision", "tensor_parallel"),
    [
        ("Qwen/Qwen3-8B", "nvidia-l4", "fp8", 1),
        (LLAMA_70B_FP8, "nvidia-rtx-pro-6000-96gb", "fp8", 2),
        (LLAMA_70B_FP8, "nvidia-h100-80gb", "bf16", 4),
    ],
)
def test_anything_else_is_estimated_and_says_so(name: str, gpu: str, precision: str, tensor_parallel: int):
    timing = step_time(model(name), accelerator(gpu), precision, tensor_parallel)
    assert timing.basis == "estimated"
    assert timing.source.startswith("roofline")


def test_the_estimate_reads_the_weights_once_per_step():
    timing = step_time(model("Qwen/Qwen3-8B"), accelerator("nvidia-l4"), "fp8", 1)
    # 8.19 GB over 300 GB/s is 27.3 ms at full bandwidth; launching 36 layers comes on top.
    assert 27.3 < timing.alpha_ms < 27.3 * 1.21


def test_every_model_has_a_time_on_every_accelerator():
    roofline = fitted_roofline()
    for served in MODELS.values():
        for gpu in ACCELERATORS.values():
            for precision in BYTES_PER_VALUE:
                timing = roofline_time(roofline, served, gpu, precision, 2)
                assert min(timing.alpha_ms, timing.beta_ms, timing.gamma_ms) > 0


def test_more_gpus_take_less_time_per_step_but_pay_for_the_exchange():
    roofline = fitted_roofline()
    served, gpu = model(LLAMA_70B_FP8), accelerator("nvidia-l40s")
    alone, pair = (roofline_time(roofline, served, gpu, "fp8", gpus) for gpus in (1, 2))
    assert pair.alpha_ms < alone.alpha_ms
    assert pair.beta_ms > alone.beta_ms / 2


def test_more_gpus_than_kv_heads_read_no_less_cache():
    roofline = fitted_roofline()
    served, gpu = model("Qwen/Qwen3-30B-A3B"), accelerator("nvidia-h100-80gb")  # 4 KV heads
    four, eight = (roofline_time(roofline, served, gpu, "fp8", gpus) for gpus in (4, 8))
    assert eight.gamma_ms == four.gamma_ms


def test_fine_tunes_share_constants():
    assert same_architecture(model(LLAMA_70B_FP8), model("meta-llama/Llama-3.1-70B-Instruct"))
    assert not same_architecture(model("Qwen/Qwen3-8B"), model("meta-llama/Llama-3.1-8B-Instruct"))


def test_the_measured_rows_are_within_their_stated_errors():
    rows = measured_rows()
    assert len(rows) >= 20
    for row in rows.values():
        assert row.model in MODELS
        assert row.accelerator in ACCELERATORS
        assert 0 < row.tpot_error < 0.10
        # With few points an unseen concurrency tells little.
        if row.tpot_error_held_out is not None and row.points > 3:
            assert row.tpot_error <= row.tpot_error_held_out < 0.16
    dense = [row for row in rows.values() if "70B" in row.name]
    assert max(row.tpot_error for row in dense) < 0.08
