from __future__ import annotations

import pytest

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
    timing = StepTime(10.0, 0.5, 0.01, "measured", "test")
    assert timing.seconds(4, 1000) == pytest.approx(0.022)


def test_measured_hardware_gives_measured_constants():
    timing = step_time(model(LLAMA_70B_FP8), accelerator("nvidia-h100-80gb"), "fp8", 4)
    assert timing.basis == "measured"
    # Published fits of the same data (alpha 11.08, beta 0.0448, gamma 2.93e-5) within their error.
    assert timing.alpha_ms == pytest.approx(11.08, rel=0.05)
    assert timing.beta_ms == pytest.approx(0.0448, rel=0.05)
    assert timing.gamma_ms == pytest.approx(2.93e-5, rel=0.1)
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
    # 8.19 GB over 300 GB/s is 27.3 ms; launching 36 layers comes on top.
    assert 27.3 < timing.alpha_ms < 27.3 * 1.2


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
        assert 0 < row.tpot_error <= row.tpot_error_held_out <= 0.20
    dense = [row for row in rows.values() if "70B" in row.name]
    assert max(row.tpot_error for row in dense) < 0.06
