"""What quantization_config makes of the weights."""

from __future__ import annotations

import pytest

from sizing.models.architecture import LINEAR
from sizing.models.huggingface.fields import Fields
from sizing.models.huggingface.quantization import scheme
from sizing.models.models import load_model
from tests.sizing.fit.requests import CONFIGS


def reading(**config: object) -> Fields:
    return Fields("x", {"quantization_config": config})


def weights(bits: int, kind: str, group: int | None = None) -> dict[str, object]:
    return {"config_groups": {"group_0": {"weights": {"num_bits": bits, "type": kind, "group_size": group}}}}


@pytest.mark.parametrize(
    ("config", "precision", "size"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 1.0),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4", 0.5195),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8", 1.0234),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "int4", 0.5),
        ({"quant_method": "compressed-tensors", **weights(8, "float")}, "fp8", 1.0),
        ({"quant_method": "compressed-tensors", **weights(8, "int")}, "int8", 1.0),
        ({"quant_method": "compressed-tensors", **weights(4, "int", 32)}, "int4", 0.578),
        ({"quant_method": "compressed-tensors", **weights(4, "float", 16)}, "nvfp4", 0.5625),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", 0.5625),
        ({"quantization": {"quant_algo": "FP8"}, "quant_method": "modelopt"}, "fp8", 1.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4", 0.52),
    ],
)
def test_methods(config: dict[str, object], precision: str, size: float):
    found = scheme(reading(**config)).quantization
    assert found.precision == precision
    assert found.bytes_per_value == pytest.approx(size, rel=0.001)
    assert found.components == LINEAR


def test_without_it_weights_have_16_bits():
    found = scheme(Fields("x", {})).quantization
    assert (found.precision, found.bytes_per_value, found.components) == ("bf16", 2.0, frozenset())


def test_experts_alone_are_quantised_in_gpt_oss():
    model = load_model(str(CONFIGS / "gpt-oss-120b.json"))
    assert model.architecture.quantization.components == {"experts"}


def test_an_8_bit_cache_may_come_with_the_checkpoint():
    brought = reading(quant_method="modelopt", quant_algo="NVFP4", kv_cache_scheme={"num_bits": 8})
    assert scheme(brought).quantization.eight_bit_cache
    without = reading(quant_method="modelopt", quant_algo="NVFP4")
    assert not scheme(without).quantization.eight_bit_cache


@pytest.mark.parametrize(
    ("name", "gib"),
    [("llama-3.1-70b-w8a8", 67.72), ("llama-3.1-70b-awq-int4", 37.0), ("qwen3-30b-a3b-fp8", 29.0)],
)
def test_memory_of_quantised_checkpoints(name: str, gib: float):
    """67.72 is logged by vLLM (pull request 12569); the others are published sizes."""
    model = load_model(str(CONFIGS / f"{name}.json"))
    assert model.weights_gib[model.checkpoint] == pytest.approx(gib, rel=0.003)
