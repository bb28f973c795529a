"""Reading config.json files: parameter counts against published ones, layers, contexts, and bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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


def test_paths_and_folders(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(PLAIN))
    assert is_config_path(str(tmp_path))
    assert not is_config_path("Qwen/Qwen3-8B")
    assert load_model(str(tmp_path)).layers == load_model(str(tmp_path / "config.json")).layers == 2
    with pytest.raises(ConfigError, match="there is no such file"):
        load_model(str(tmp_path / "other.json"))
