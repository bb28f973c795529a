from __future__ import annotations

import pytest

from local.engine.precision import weight_precision
from local.engine.refusal import Refused
from sizing.hardware.accelerators import accelerator
from sizing.models.models import model

QWEN = "Qwen/Qwen3-8B"
LLAMA_FP8 = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"


def precision(name: str, quantization: str | None, gpu: str = "nvidia-l4", dtype: str = "auto") -> str:
    return weight_precision(model(name), accelerator(gpu), quantization, dtype, deprecated_allowed=False)


@pytest.mark.parametrize(
    ("name", "quantization", "expected"),
    [
        (QWEN, None, "bf16"),
        (QWEN, "fp8", "fp8"),
        (QWEN, "fp8_per_tensor", "fp8"),
        (LLAMA_FP8, None, "fp8"),
        (LLAMA_FP8, "compressed-tensors", "fp8"),
        ("openai/gpt-oss-20b", None, "mxfp4"),
    ],
)
def test_precision_of_the_weights(name: str, quantization: str | None, expected: str):
    assert precision(name, quantization) == expected


@pytest.mark.parametrize(
    ("name", "quantization", "message"),
    [
        (QWEN, "fp9", "Unknown quantization method: fp9. Must be one of"),
        (QWEN, "awq", "Cannot find the config file for awq: Qwen/Qwen3-8B holds bf16 weights"),
        (QWEN, "fbgemm_fp8", "is deprecated .*--allow-deprecated-quantization"),
        (LLAMA_FP8, "awq", r"specified in the model config \(compressed-tensors\) does not match .* \(awq\)"),
    ],
)
def test_wrong_quantisation_is_refused(name: str, quantization: str, message: str):
    with pytest.raises(Refused, match=message):
        precision(name, quantization)


def test_old_gpus_have_no_bfloat16():
    with pytest.raises(Refused, match=r"NVIDIA T4 GPU has compute capability 7\.5"):
        precision(QWEN, None, "nvidia-t4", "bfloat16")
    assert precision(QWEN, None, "nvidia-t4") == "bf16"


def test_weights_without_a_figure_are_parameters_times_bytes():
    assert model(QWEN).weights_gib["fp8"] == pytest.approx(8.8, rel=0.005)
    # 1.56 billion of the 14.77 are embeddings and output layer, which stay in 16 bits.
    assert model("Qwen/Qwen3-14B").weights_gib["fp8"] == pytest.approx(
        (14.77e9 + 1.56e9) / 1024**3, rel=0.005
    )
