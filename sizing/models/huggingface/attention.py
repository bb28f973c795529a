"""Attention of one layer: its weights, and what it keeps of each token or sequence."""

from __future__ import annotations

from sizing.models.architecture import AttentionCache, LatentCache, Layer, Module, RecurrentState, Weight
from sizing.models.huggingface.families import Family
from sizing.models.huggingface.fields import ConfigError, Fields
from sizing.models.huggingface.windows import LayerKind

DEEPSEEK_INDEX_HEAD = 128
"""Width of an index key of sparse attention where the file names the index without it (DeepSeek-V3.2)."""

SINGLE_PRECISION_BYTES = 4
"""vLLM keeps the state of gated delta nets in 32 bits (`mamba_ssm_dtype` of the Qwen3.5 files)."""


def head_dim(config: Fields) -> int:
    """Width of one attention head. Raises ConfigError if it is not given and does not divide the width."""
    if config.has("head_dim"):
        return config.integer("head_dim")
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    if hidden % heads:
        raise ConfigError(
            f"{config.place}: head_dim is missing and {hidden} hidden_size / {heads} heads is not whole"
        )
    return hidden // heads


def kv_heads(config: Fields) -> int:
    """Heads of keys and values: all of them where the file has no grouping."""
    return config.integer("num_key_value_heads", "num_attention_heads")


def attention_layer(config: Fields, family: Family, kind: LayerKind) -> Layer:
    """Attention of a layer of this kind, without the norms and the feed-forward part around it."""
    if kind.kind == "linear":
        return _gated_delta_net(config)
    if family.attention == "latent":
        return _latent(config)
    return _grouped(config, family, kind)


def _grouped(config: Fields, family: Family, kind: LayerKind) -> Layer:
    """Grouped-query attention. Gemma-4 has other heads on its full layers (`global_*` fields)."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    width, grouped = head_dim(config), kv_heads(config)
    shared_key_value = False
    if kind.kind == "full":
        width = config.integer("global_head_dim") if config.has("global_head_dim") else width
        # Keys serve as values: one projection less, but vLLM still caches both.
        shared_key_value = config.flag("attention_k_eq_v", False)
        if shared_key_value and config.has("num_global_key_value_heads"):
            grouped = config.integer("num_global_key_value_heads")
    value = config.optional_integer("v_head_dim")
    value_width = width if value is None else value
    declared = config.flag("attention_bias", False)
    qkv_bias = declared if family.qkv_bias is None else config.flag("attention_bias", family.qkv_bias)
    output_bias = declared if family.output_bias is None else family.output_bias
    queries = 2 * heads * width if family.attention == "gated" else heads * width
    query = hidden * queries + (queries if qkv_bias else 0)
    output = heads * value_width * hidden + (hidden if output_bias else 0) + (heads if family.sinks else 0)
    rows = hidden + (1 if qkv_bias else 0)
    keys = [Module("self_attn.k_proj", grouped * width * rows)]
    if not shared_key_value:
        keys.append(Module("self_attn.v_proj", grouped * value_width * rows))
    weights = [
        _attention(Module("self_attn.q_proj", query), Module("self_attn.o_proj", output)),
    ]
    if not kind.shares_cache:
        weights.append(_attention(*keys, ways=grouped))
    norms = config.flag("use_qk_norm", family.qk_norm != "none") or config.flag("qk_layernorm", False)
    if norms:
        of_keys = 0 if kind.shares_cache else 1
        per_head = (1 + of_keys) * width
        normed = per_head if family.qk_norm != "width" else (heads + grouped) * width
        weights.append(Weight("norm", normed, ways=1))
    if kind.shares_cache:
        return Layer(None, tuple(weights))
    cache = AttentionCache(grouped, width, value_width, kind.window, kind.chunk)
    return Layer(cache, tuple(weights))


def _attention(*modules: Module, ways: int | None = None, copied: int = 0) -> Weight:
    parameters = sum(module.parameters for module in modules)
    return Weight("attention", parameters, ways, copied_in_16_bit=copied, modules=modules)


def _latent(config: Fields) -> Layer:
    """Multi-head latent attention. Engines keep the matrices that decompress keys and values a second time in
    16 bits, folded into the projections around them, for decoding."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    latent, rope = config.integer("kv_lora_rank"), config.integer("qk_rope_head_dim")
    plain, value = config.integer("qk_nope_head_dim"), config.integer("v_head_dim")
    rank = config.integer("q_lora_rank") if config.has("q_lora_rank") else None
    query_width = heads * (plain + rope)
    decompress = latent * heads * (plain + value)
    weights = [
        _attention(Module("self_attn.kv_a_proj_with_mqa", hidden * (latent + rope)), ways=1),
        _attention(Module("self_attn.kv_b_proj", decompress), copied=decompress),
        _attention(Module("self_attn.o_proj", heads * value * hidden)),
        Weight("norm", latent, ways=1),
    ]
    if rank is None:
        weights.append(_attention(Module("self_attn.q_proj", hidden * query_width)))
    else:
        weights += [
            _attention(Module("self_attn.q_a_proj", hidden * rank), ways=1),
            _attention(Module("self_attn.q_b_proj", rank * query_width)),
            Weight("norm", rank, ways=1),
        ]
    index_width = 0
    if config.has("index_topk"):
        index_heads = config.integer("index_n_heads")
        found = config.optional_integer("index_head_dim")
        index_width = DEEPSEEK_INDEX_HEAD if found is None else found
        source = hidden if rank is None else rank
        index = (
            Module("self_attn.indexer.wq_b", source * index_heads * index_width),
            Module("self_attn.indexer.wk", hidden * index_width + 2 * index_width),  # with its norm
            Module("self_attn.indexer.weights_proj", hidden * index_heads),
        )
        weights.append(_attention(*index, ways=1))
    return Layer(LatentCache(latent + rope, index_width), tuple(weights))


def without_index(config: Fields) -> Fields:
    """The fields of a layer that takes the tokens which an earlier layer's index chose."""
    return Fields(config.place, {**config.values, "index_topk": None})


def _gated_delta_net(config: Fields) -> Layer:
    """Linear attention of Qwen3-Next and Qwen3.5: a state per value head, and the last inputs of a short
    convolution over queries, keys and values."""
    hidden = config.integer("hidden_size")
    key_heads, value_heads = (
        config.integer("linear_num_key_heads"),
        config.integer("linear_num_value_heads"),
    )
    key_dim, value_dim = config.integer("linear_key_head_dim"), config.integer("linear_value_head_dim")
    kernel = config.integer("linear_conv_kernel_dim")
    keys, values = key_heads * key_dim, value_heads * value_dim
    mixed = 2 * keys + values
    modules = (
        Module("linear_attn.in_proj_qkv", hidden * mixed),
        Module("linear_attn.in_proj_z", hidden * values),
        Module("linear_attn.in_proj_b", hidden * value_heads),
        Module("linear_attn.in_proj_a", hidden * value_heads),
        Module("linear_attn.out_proj", values * hidden),
    )
    projections = sum(module.parameters for module in modules)
    weights = (
        Weight("linear attention", projections, modules=modules),
        Weight("norm", mixed * kernel + 2 * value_heads + value_dim),
    )
    state = RecurrentState(
        convolution_values=mixed * (kernel - 1),
        state_values=value_heads * value_dim * key_dim,
        state_bytes=2 if config.text("mamba_ssm_dtype") == "bfloat16" else SINGLE_PRECISION_BYTES,
    )
    return Layer(state, weights)
