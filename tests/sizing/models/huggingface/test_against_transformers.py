"""Parameters and caches against those of transformers' own models: transformers_counts.json, which
count_with_transformers.py wrote. Whatever the file says, the answer is right or names the field."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import yaml

from sizing.models.architecture import AttentionCache, LatentCache, LayerCache
from sizing.models.huggingface import ConfigError, architecture
from sizing.models.huggingface.defaults import DEFAULTS
from sizing.models.huggingface.families import FAMILIES, TEXT_MODELS

HERE = Path(__file__).parent
COUNTS = json.loads((HERE / "transformers_counts.json").read_text("utf-8"))
SHAPES = yaml.safe_load((HERE / "public_shapes.yaml").read_text("utf-8"))

TOKENS = 60
"""What the counted models had read."""

READ_BY_VLLM_ALONE = {("glm4_moe_lite", "first_k_dense_replace"), ("deepseek_v32", "index_topk_freq")}
"""Fields that vLLM reads and transformers' class does not: the engine is what counts."""


def kept(cache: LayerCache) -> str:
    """As count_with_transformers.py writes a layer: a window keeps one token less than it sees."""
    if isinstance(cache, LatentCache):
        return "latent"
    if not isinstance(cache, AttentionCache):
        return "state"
    bound = cache.chunk if cache.window is None else cache.window
    tokens = TOKENS if bound is None else min(TOKENS, bound - 1)
    return f"{cache.kv_heads * cache.head_dim}+{cache.kv_heads * cache.value_dim}@{tokens}"


def test_every_family_is_compared():
    elsewhere = {name for name in FAMILIES if name.endswith(("_vl_text", "_vl_moe_text"))} | {"mimo"}
    assert COUNTS["small"].keys() | elsewhere == DEFAULTS.text.keys()
    assert {config["model_type"] for config in SHAPES.values()} >= TEXT_MODELS.keys() - {"kimi_vl"}
    assert COUNTS["public"].keys() == SHAPES.keys()


@pytest.mark.parametrize("family", sorted(COUNTS["small"]))
def test_each_field_changes_both_counts_or_neither(family: str):
    base, rows = COUNTS["small"][family]["base"], COUNTS["small"][family]["rows"]
    refused: list[str] = []
    for changes, parameters, caches in rows:
        if any((family, name) in READ_BY_VLLM_ALONE for name in changes):
            continue
        try:
            found = architecture({**base, **changes, "model_type": family}, "x")
        except ConfigError as error:
            refused.append(f"{changes}: {error}")
            continue
        assert found.parameters == pytest.approx(parameters, rel=0.002), changes
        if caches is not None:
            layers = [kept(layer.cache) for layer in found.layers if layer.cache is not None]
            runs = ((len(list(run)), name) for name, run in itertools.groupby(layers))
            assert ", ".join(f"{count} x {name}" for count, name in runs) == caches, changes
    # Every refusal names what was changed.
    assert [text for text in refused if text.split("'")[1] not in text.split("}: ", 1)[1]] == []
    assert len(refused) <= 3, refused


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_public_shapes_have_their_parameters(name: str):
    found = architecture(SHAPES[name], "x")
    assert found.parameters == pytest.approx(COUNTS["public"][name], rel=0.001)
