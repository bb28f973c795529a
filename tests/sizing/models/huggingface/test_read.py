"""Reading config.json files: parameter counts against published ones, layers, contexts, and bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sizing.models.architecture import AttentionCache
from sizing.models.huggingface import ConfigError, UnsupportedModelError, architecture, read_config
from sizing.models.models import MODELS, is_config_path, load_model
from tests.sizing.fit.requests import CONFIGS
from tests.sizing.models.layers import full_attention_layers

PLAIN = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 256,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-2-7b", 6.738),
        ("mistral-7b-v0.1", 7.242),
        ("qwen2.5-7b", 7.616),
        ("gemma-2-9b", 9.242),
        ("phi-3-mini", 3.821),
        ("deepseek-v2-lite", 15.706),
        ("gpt-oss-120b", 116.83),
        ("qwen2.5-vl-7b", 8.292),
        ("qwen2-vl-7b", 8.291),
        ("gemma-3-4b", 4.30),
        ("qwen3-next-80b-a3b", 79.67),
        ("gemma-3-27b", 27.43),
    ],
)
def test_parameters_are_the_published_ones(name: str, billions: float):
    assert load_model(str(CONFIGS / f"{name}.json")).parameters_billion == pytest.approx(billions, rel=0.002)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_parameters_of_the_table_follow_from_its_fields(name: str):
    row = MODELS[name]
    assert row.architecture.parameters / 1e9 == pytest.approx(row.parameters_billion, rel=0.015)
    # Published active parameters leave out embeddings, or do not.
    ends = 2 * row.vocabulary * row.hidden_size / 1e9
    assert row.architecture.active_parameters / 1e9 == pytest.approx(
        row.active_parameters_billion, rel=0.12, abs=ends
    )


def test_small_counts_by_hand():
    found = architecture(PLAIN, "x")
    attention = 64 * 64 + 64 * 64 + 2 * 64 * 32
    assert found.parameters == 2 * (attention + 3 * 64 * 128 + 2 * 64) + 2 * 100 * 64 + 64
    assert found.active_parameters == found.parameters
    tied = architecture({**PLAIN, "tie_word_embeddings": True}, "x")
    assert found.parameters - tied.parameters == 100 * 64


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        (None, 256),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 32}, 256),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}, 512),
        ({"type": "linear", "factor": 2.0}, 512),
        ({"type": "longrope", "short_factor": [1.0]}, 256),
    ],
)
def test_the_context_is_stretched_as_vllm_does(scaling: object, context: int):
    assert architecture({**PLAIN, "rope_scaling": scaling}, "x").max_context == context


def test_windows_by_the_habits_of_a_family():
    gemma = load_model(str(CONFIGS / "gemma-3-27b.json"))
    assert full_attention_layers(gemma) == 10
    assert full_attention_layers(load_model(str(CONFIGS / "gemma-2-9b.json"))) == 21
    assert full_attention_layers(load_model(str(CONFIGS / "mistral-7b-v0.1.json"))) == 0
    qwen = load_model(str(CONFIGS / "qwen2.5-7b.json"))
    assert full_attention_layers(qwen) == 28  # use_sliding_window is false
    assert full_attention_layers(load_model(str(CONFIGS / "llama-4-scout.json"))) == 12


def test_layers_that_read_an_earlier_cache_have_none():
    shared = architecture({**PLAIN, "model_type": "gemma4_text", "num_kv_shared_layers": 1}, "x")
    assert [layer.cache is None for layer in shared.layers] == [False, True]


@pytest.mark.parametrize("name", ["nemotron_h", "deepseek_v4", "gemma3n", "made_up"])
def test_unsupported_models_say_so_by_name(name: str):
    with pytest.raises(UnsupportedModelError, match=f'model type "{name}" is not supported'):
        architecture({**PLAIN, "model_type": name}, "x")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hidden_size": None}, "x: hidden_size is missing"),
        ({"num_hidden_layers": 0}, "x: num_hidden_layers is 0"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers is 'two'"),
        ({"num_hidden_layers": 10**9}, "at most 1000 are believed"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"vocab_size": -5}, "vocab_size is -5"),
        ({"num_key_value_heads": 3}, "4 attention heads are not a multiple of 3"),
        ({"hidden_size": 66}, "head_dim is missing and 66 hidden_size / 4 heads is not whole"),
        ({"layer_types": ["full_attention"]}, "layer_types names 1 layers of 2"),
        ({"layer_types": ["full_attention", "magic"]}, 'layer_types has "magic"'),
        ({"layer_types": "full_attention"}, "layer_types is no list of texts"),
        ({"rope_scaling": 8}, "rope_scaling is no object"),
        ({"model_type": None}, "model_type is missing"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes'"),
        ({"quantization_config": {"quant_method": "exl2"}}, 'quant_method "exl2" is not known'),
    ],
)
def test_bad_fields_are_named_with_their_place(changes: dict[str, object], says: str):
    with pytest.raises(ConfigError) as refused:
        architecture({**PLAIN, **changes}, "x")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "not JSON"), ("[1]", "holds a list"), ("{", "not JSON"), ("[" * 100_000, "not JSON")],
)
def test_files_that_are_no_config(tmp_path: Path, content: str, says: str):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=says):
        read_config(path)


def test_an_old_modelopt_checkpoint_says_its_precision_in_a_file_beside(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(PLAIN))
    assert load_model(str(tmp_path)).checkpoint == "bf16"
    beside = {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]},
    }
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(beside))
    assert load_model(str(tmp_path)).checkpoint == "nvfp4"
    assert load_model(str(tmp_path / "config.json")).checkpoint == "nvfp4"


def test_paths_and_folders(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(PLAIN))
    assert is_config_path(str(tmp_path))
    assert not is_config_path("Qwen/Qwen3-8B")
    assert load_model(str(tmp_path)).layers == load_model(str(tmp_path / "config.json")).layers == 2
    with pytest.raises(ConfigError, match="there is no such file"):
        load_model(str(tmp_path / "other.json"))


LLAVA_TOWER = {
    "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 14, "image_size": 336,
    "projection_dim": 768, "vocab_size": 32000,
}  # fmt: skip


def test_a_text_config_that_leaves_out_what_its_class_fills_in():
    """LLaVA-1.5-7B's file gives its text model a context and a vocabulary: the rest is LlamaConfig's."""
    text = {"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064}
    found = architecture({"model_type": "llava", "text_config": text, "vision_config": LLAVA_TOWER}, "x")
    assert (found.attention_heads, found.kv_heads, found.head_dim, len(found.layers)) == (32, 32, 128, 32)
    assert found.max_context == 4096
    # Without a model type of its own it is the class's that LlavaConfig takes.
    del text["model_type"]
    assert architecture({"model_type": "llava", "text_config": text}, "x").layers == found.layers


def test_key_value_heads_that_a_class_fills_in():
    """Pixtral-12B's text_config says nothing of key and value heads: MistralConfig has 8, not 32."""
    text = {
        "model_type": "mistral", "hidden_size": 5120, "head_dim": 128, "intermediate_size": 14336,
        "num_hidden_layers": 40, "sliding_window": None, "vocab_size": 131072,
    }  # fmt: skip
    found = architecture({"model_type": "llava", "text_config": text}, "x")
    assert (found.attention_heads, found.kv_heads) == (32, 8)
    assert all(layer.cache == AttentionCache(8, 128, 128) for layer in found.layers)


def test_a_null_is_a_value_and_a_gap_is_not():
    mistral = {**PLAIN, "model_type": "mistral"}
    windowed, full = (
        architecture(config, "x").layers[0] for config in (mistral, {**mistral, "sliding_window": None})
    )
    assert (windowed.cache, full.cache) == (AttentionCache(2, 16, 16, window=4096), AttentionCache(2, 16, 16))


@pytest.mark.parametrize(
    ("pattern", "windows"),
    [
        ("LLLG", "LLLGLG"),  # the last layer is full whatever the text says
        ("LG", "LGLGLG"),
        ("LLL", "LLLLLG"),
        (2, "LGLGLG"),
        (4, "LLLGLL"),
        (None, "LLLGLL"),
    ],
)
def test_patterns_of_windows(pattern: object, windows: str):
    config = {**PLAIN, "model_type": "exaone4", "num_hidden_layers": 6, "sliding_window": 64}
    found = architecture({**config, "sliding_window_pattern": pattern}, "x")
    caches = [layer.cache for layer in found.layers if isinstance(layer.cache, AttentionCache)]
    assert "".join("G" if cache.window is None else "L" for cache in caches) == windows


def test_two_values_of_one_field_are_refused():
    mixtral = {**PLAIN, "model_type": "mixtral", "num_experts_per_tok": 2}
    one = architecture({**mixtral, "num_experts": 4}, "x")
    assert one.experts == architecture({**mixtral, "num_local_experts": 4}, "x").experts == 4
    with pytest.raises(ConfigError, match="num_experts is 8 and num_local_experts is 4"):
        architecture({**mixtral, "num_experts": 8, "num_local_experts": 4}, "x")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"per_layer_config": {"0": {"head_dim": 8}}}, "per_layer_config is not supported"),
        ({"block_configs": [{}]}, "block_configs is not supported"),
        ({"is_causal": False}, "is_causal is False: an encoder"),
        ({"model_type": "exaone4", "sliding_window_pattern": "LLX"}, "sliding_window_pattern is 'LLX'"),
        ({"model_type": "llava"}, "text_config is missing"),
        ({"model_type": "idefics3", "text_config": PLAIN}, '"idefics3" with a text_config is not supported'),
        (
            {"model_type": "llava", "text_config": PLAIN, "vision_config": {"model_type": "x"}},
            'model_type "x" is not',
        ),
        (
            {"model_type": "gemma4", "text_config": {}, "audio_config": {"hidden_size": 8}},
            "hidden_size is 8, and only",
        ),
        ({"model_type": "llava", "text_config": PLAIN, "audio_config": {}}, "audio_config is not supported"),
        ({"num_key_value_heads": [1, 2]}, "num_key_value_heads is [1, 2]"),
    ],
)
def test_what_is_not_counted_is_refused_by_its_field(changes: dict[str, object], says: str):
    with pytest.raises(ConfigError) as refused:
        architecture({**PLAIN, **changes}, "x")
    assert says in str(refused.value)
