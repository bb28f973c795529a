"""Bytes of checkpoints whose lists name modules, counted by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.models.huggingface.fields import ConfigError
from sizing.models.huggingface.read import architecture
from sizing.models.weights import GIB, checkpoint_gib

QWEN3_8B: Mapping[str, object] = {
    "model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    "max_position_embeddings": 40960, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}  # fmt: skip
ENDS = 2 * 151936 * 4096
NORMS = 36 * (2 * 4096 + 2 * 128) + 4096
ATTENTION = 4096 * (32 + 8 + 8) * 128 + 32 * 128 * 4096  # of a layer
MATRIX = 4096 * 12288

TINY: Mapping[str, object] = {
    "model_type": "qwen3", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 1000,
    "max_position_embeddings": 4096, "tie_word_embeddings": True,
}  # fmt: skip
QUERY, KEY, OUTPUT, UP = 64 * 64, 64 * 32, 64 * 64, 64 * 128
TINY_LAYER = QUERY + 2 * KEY + OUTPUT + 3 * UP
TINY_REST = 1000 * 64 + 4 * (2 * 64 + 2 * 16) + 64

EXPERTS: Mapping[str, object] = {
    "model_type": "qwen3_moe", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 1000,
    "max_position_embeddings": 4096, "tie_word_embeddings": True, "num_experts": 8,
    "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 1, "mlp_only_layers": [],
}  # fmt: skip
EXPERT = 64 * 32

INT4 = 0.5 + (2 + 0.5) / 128
NVFP4 = 0.5625


def size(model: Mapping[str, object], **quantized: object) -> float:
    """Bytes of the checkpoint."""
    found = {**model, "quantization_config": quantized} if quantized else model
    return checkpoint_gib(architecture(found, "x")) * GIB


def group(bits: int, kind: str, size: int | None, *targets: str) -> dict[str, object]:
    return {"targets": list(targets), "weights": {"num_bits": bits, "type": kind, "group_size": size}}


def packed(**groups: object) -> dict[str, object]:
    return {"quant_method": "compressed-tensors", "config_groups": groups}


INTEGERS = packed(group_0=group(4, "int", 128, "Linear"))
FIRST_MLP = [f"model.layers.0.mlp.{name}_proj" for name in ("gate", "up", "down")]


@pytest.mark.parametrize(
    ("quantized", "sixteen_bit", "value", "gib"),
    [
        ({"quant_method": "fp8", "modules_to_not_convert": ["lm_head", *FIRST_MLP]}, 3 * MATRIX, 1.0, 8.93),
        (
            {"quant_method": "fp8", "modules_to_not_convert": ["lm_head", "re:.*down_proj"]},
            36 * MATRIX, 1.0, 10.48,
        ),
        (
            {**INTEGERS, "ignore": ["lm_head", r"re:model\.layers\.(1[0-9]|2[0-9]|3[0-9])\..*"]},
            26 * (ATTENTION + 3 * MATRIX), INT4, 12.6,
        ),
    ],
)  # fmt: skip
def test_qwen3_8b_with_modules_left_in_16_bits(
    quantized: dict[str, object], sixteen_bit: int, value: float, gib: float
):
    layers = 36 * (ATTENTION + 3 * MATRIX)
    by_hand = 2 * (ENDS + NORMS + sixteen_bit) + value * (layers - sixteen_bit)
    assert size(QWEN3_8B, **quantized) == pytest.approx(by_hand, rel=1e-9)
    assert by_hand / GIB == pytest.approx(gib, abs=0.05)


QWEN35_35B: Mapping[str, object] = {
    "model_type": "qwen3_5_moe_text", "hidden_size": 2048, "num_hidden_layers": 40,
    "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256, "vocab_size": 248320,
    "max_position_embeddings": 262144, "num_experts": 256, "num_experts_per_tok": 8,
    "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "linear_num_key_heads": 16,
    "linear_num_value_heads": 32, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4, "full_attention_interval": 4, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize("names", [("group_0", "group_1"), ("group_1", "group_0")])
def test_two_groups_of_qwen3_5_35b(names: tuple[str, str]):
    floats = group(8, "float", None, "re:.*self_attn.*", "re:.*linear_attn.*", "re:.*shared_expert.*")
    groups = {"group_0": floats, "group_1": group(4, "float", 16, r"re:.*mlp\.experts\..*")}
    found = size(QWEN35_35B, **packed(**{name: groups[name] for name in names}), ignore=["lm_head"])
    experts = 40 * 256 * 3 * 2048 * 512
    full = 2048 * (2 * 16 + 2 + 2) * 256 + 16 * 256 * 2048
    linear = 2048 * (2 * 2048 + 4096 + 4096 + 64) + 4096 * 2048
    eight = 10 * full + 30 * linear + 40 * 3 * 2048 * 512
    norms = 40 * 2 * 2048 + 2048 + 10 * 2 * 256 + 30 * (8192 * 4 + 64 + 128)
    router = 40 * (256 * 2048 + 256 + 2048)
    by_hand = NVFP4 * experts + eight + 2 * (2 * 248320 * 2048 + norms + router)
    assert found == pytest.approx(by_hand, rel=1e-9)
    precision = architecture({**QWEN35_35B, "quantization_config": packed(**groups)}, "x").quantization
    assert precision.precision == "nvfp4"


TINY_GROUPS = packed(
    group_0=group(8, "float", None, "Linear"), group_1=group(4, "float", 16, "re:.*(gate|up)_proj")
)
MODELOPT_MIXED = {
    "quant_method": "modelopt",
    "quant_algo": "MIXED_PRECISION",
    "quantized_layers": {
        "model.layers.0.mlp.down_proj": {"quant_algo": "FP8"},
        "model.layers.1.mlp.gate_proj": {"quant_algo": "NVFP4", "group_size": 16},
        "model.layers.1.mlp.up_proj": {"quant_algo": "NVFP4", "group_size": 16},
    },
}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
AUTO_ROUND = {"quant_method": "auto-round", "bits": 4, "group_size": 128}
FOUR = {"quant_method": "bitsandbytes", "load_in_4bit": True}
EIGHT = 1 + (2 + 1) / 128


@pytest.mark.parametrize(
    ("quantized", "saved"),
    [
        # bytes that each form saves of 2 a value
        (TINY_GROUPS, 4 * (TINY_LAYER - 2 * UP) * 1 + 4 * 2 * UP * (2 - NVFP4)),
        (MODELOPT_MIXED, UP * 1 + 2 * UP * (2 - NVFP4)),
        (
            {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["model.layers.1.self_attn*"]},
            4 * TINY_LAYER - (QUERY + 2 * KEY + OUTPUT),
        ),
        (
            {"quant_method": "modelopt", "quantization": {"quant_algo": "FP8", "ignore": ["*down*"]}},
            4 * (TINY_LAYER - UP),
        ),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["self_attn"]}, 4 * 3 * UP),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.2"]}, 3 * TINY_LAYER),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.2.self_attn.qkv_proj"]},
         4 * TINY_LAYER - QUERY - 2 * KEY),
        (
            {**GPTQ, "dynamic": {"-:.*down_proj": {}, r"+:.*\.0\.mlp\.(gate|up).*": {"bits": 8}}},
            (4 * (TINY_LAYER - UP) - 2 * UP) * (2 - INT4) + 2 * UP * (2 - EIGHT),
        ),
        (
            {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["attn.o_p"]},
            4 * (TINY_LAYER - OUTPUT) * (2 - INT4),
        ),
        (
            {**AUTO_ROUND, "extra_config": {"model.layers.0.self_attn.o_proj": {"bits": 16},
                                            "model.layers.1.self_attn.o_proj": {"bits": 8}}},
            (4 * TINY_LAYER - 2 * OUTPUT) * (2 - INT4) + OUTPUT * (2 - EIGHT),
        ),
        ({**FOUR, "llm_int8_skip_modules": ["down_proj"]}, 4 * (TINY_LAYER - UP) * (2 - 0.52)),
    ],
)  # fmt: skip
def test_each_form(quantized: dict[str, object], saved: float):
    all_in_16_bit = 2 * (TINY_REST + 4 * TINY_LAYER)
    assert size(TINY) == all_in_16_bit
    assert size(TINY, **quantized) == pytest.approx(all_in_16_bit - saved, rel=1e-9)


def test_experts_of_one_layer():
    found = size(EXPERTS, quant_method="fp8", modules_to_not_convert=["model.layers.1.mlp.experts"])
    attention = 2 * (QUERY + 2 * KEY + OUTPUT)
    assert size(EXPERTS) - found == attention + 8 * 3 * EXPERT


def test_the_gate_of_experts_is_not_their_gate_projection():
    four = {"quant_method": "awq", "bits": 4, "group_size": 128}
    assert size(EXPERTS, **four, modules_to_not_convert=["gate"]) == size(EXPERTS, **four)
    without = size(EXPERTS, **four, modules_to_not_convert=["experts"])
    assert without == pytest.approx(size(EXPERTS, **four) + 2 * 8 * 3 * EXPERT * (2 - INT4), rel=1e-9)


def test_a_group_of_activations_holds_no_weights():
    cache = {"targets": ["Qwen3Attention"], "weights": None, "input_activations": {"num_bits": 8}}
    both = packed(group_0=group(4, "int", 128, "Linear"), group_1=cache)
    assert size(TINY, **both) == size(TINY, **INTEGERS)
    with pytest.raises(ConfigError, match="names no weights"):
        size(TINY, **packed(group_0=cache))


def test_names_of_what_another_layer_has_change_nothing():
    dense = {**EXPERTS, "mlp_only_layers": [0]}
    names = [
        "model.layers.0.mlp.experts.3.up_proj",
        "model.layers.1.mlp.gate",
        "model.layers.0.input_layernorm",
    ]
    assert size(dense, **INTEGERS, ignore=names) == size(dense, **INTEGERS)


def test_names_within_a_multimodal_checkpoint():
    names = ["model.language_model.layers.0.mlp.down_proj", "language_model.model.layers.1.mlp.down_proj"]
    plain = [f"model.layers.{layer}.mlp.down_proj" for layer in (0, 1)]
    assert size(TINY, **INTEGERS, ignore=names) == size(TINY, **INTEGERS, ignore=plain)


@pytest.mark.parametrize(
    ("model", "quantized", "message"),
    [
        (TINY, {"quant_method": "fp8", "ignored_layers": ["model.layers.0.self_attn.q_proj"]}, "qkv_proj"),
        (TINY, {**INTEGERS, "ignore": ["re:.*up_proj"]}, "gate_up_proj"),
        (EXPERTS, {**INTEGERS, "ignore": ["re:.*experts.3.*"]}, "experts"),
        (EXPERTS, {**INTEGERS, "ignore": ["re:.*experts.*down_proj"]}, "experts"),
        (TINY, {**INTEGERS, "ignore": ["model.layers.0.mlp.fc_in"]}, '"model.layers.0.mlp.fc_in"'),
        (TINY, {**INTEGERS, "ignore": ["re:(.*"]}, "no regular expression"),
        (TINY, {**INTEGERS, "sparsity_config": {"format": "sparse-24-bitmask"}}, "sparsity_config"),
        (TINY, packed(a=group(4, "int", 128, "Linear"), b=group(8, "int", 128, "Linear")), "a and b"),
        (TINY, packed(a=group(4, "int", 128, "Conv2d")), "Conv2d"),
        (TINY, packed(a=group(3, "int", 128, "Linear")), "3 bits"),
        (TINY, packed(a=group(4, "int", 128, "Linear"), b={"targets": ["Linear"]}), "a and b"),
        (
            TINY,
            packed(a=group(4, "int", 128, "re:.*mlp.*"), b=group(8, "int", 128, "re:.*down_proj")),
            "differently",
        ),
        (TINY, {**GPTQ, "dynamic": {".*down_proj": {"bits": 3}}}, "3 bits"),
        (TINY, {**GPTQ, "modules_in_block_to_quantize": [["self_attn.k_proj"]]}, "modules_in_block"),
        (TINY, {**AUTO_ROUND, "block_name_to_quantize": "model.visual.blocks"}, "block_name_to_quantize"),
        (TINY, {**AUTO_ROUND, "data_type": "nv_fp"}, "nv_fp"),
        (TINY, {**AUTO_ROUND, "extra_config": {"mlp": {"data_type": "float"}}}, "16 bits only"),
        (TINY, {"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "W4A8_AWQ"),
        (TINY, {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, "quantized_layers"),
    ],
)
def test_what_is_not_clear_is_refused(
    model: Mapping[str, object], quantized: dict[str, object], message: str
):
    with pytest.raises(ConfigError, match=message):
        size(model, **quantized)


ENTRIES = (
    "lm_head",
    "model.layers.0",
    "model.layers.1.self_attn",
    "model.layers.2.mlp.down_proj",
    "re:.*o_proj",
    "model.layers.3*",
    "model.layers.0.self_attn.o_proj",
)


@given(st.permutations(ENTRIES), st.integers(0, len(ENTRIES)))
def test_order_does_not_matter_and_another_entry_never_makes_it_smaller(entries: list[str], count: int):
    fewer = size(TINY, **INTEGERS, ignore=entries[:count])
    assert fewer == size(TINY, **INTEGERS, ignore=sorted(entries[:count]))
    assert fewer <= size(TINY, **INTEGERS, ignore=entries[: count + 1])


@pytest.mark.parametrize("model", [TINY, EXPERTS, QWEN3_8B])
@pytest.mark.parametrize("entry", ["re:.*", "*", "model.layers"])
def test_ignoring_every_module_is_16_bit(model: Mapping[str, object], entry: str):
    assert size(model, **INTEGERS, ignore=[entry]) == size(model)
    found = architecture({**model, "quantization_config": {**INTEGERS, "ignore": [entry]}}, "x")
    assert found.quantization.precision == "bf16"
