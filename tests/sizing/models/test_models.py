from __future__ import annotations

import pytest

from serving.images.pinned import IMAGES
from sizing.choices import UnknownNameError
from sizing.models.models import MODELS, model
from tests.sizing.models.layers import full_attention_layers


@pytest.mark.parametrize(
    ("name", "kv_bytes"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 131_072),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", 327_680),
        ("Qwen/Qwen3-8B", 147_456),
        ("Qwen/Qwen3-235B-A22B", 192_512),
        ("Qwen/Qwen3.5-27B", 65_536),
        ("openai/gpt-oss-20b", 24_576),
        ("microsoft/phi-4", 204_800),
    ],
)
def test_cache_per_token_is_what_vllm_logs_and_planners_report(name: str, kv_bytes: int):
    assert model(name).kv_bytes_per_token() == kv_bytes
    assert model(name).kv_bytes_per_token(bytes_per_value=1) == kv_bytes // 2


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_row_is_consistent(name: str):
    row = MODELS[name]
    assert row.checkpoint in row.weights_gib
    assert row.attention_heads % row.kv_heads == 0
    assert 0 < row.active_parameters_billion <= row.parameters_billion
    assert 0 < full_attention_layers(row) <= row.layers
    assert row.source
    if "bf16" in row.weights_gib:
        # Two bytes each; 10^9 parameters are 1.863 GiB.
        assert row.weights_gib["bf16"] == pytest.approx(row.parameters_billion * 1.863, rel=0.02)
    sizes = [
        row.weights_gib[precision] for precision in ("bf16", "fp8", "int4") if precision in row.weights_gib
    ]
    assert sizes == sorted(sizes, reverse=True)


def test_an_unknown_model_lists_the_nearest():
    with pytest.raises(UnknownNameError, match=r"did you mean Qwen/Qwen3-8B\?"):
        model("Qwen/Qwen3-8b")


def test_no_image_is_left_to_chance():
    for row in IMAGES.values():
        assert row.tag not in ("", "latest")
        assert row.reference == f"{row.repository}:{row.tag}" + (f"@{row.digest}" if row.digest else "")
        assert row.digest is None or len(row.digest) == len("sha256:") + 64
