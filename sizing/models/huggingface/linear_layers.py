"""The linear layers of a model as vLLM builds them: what a LoRA adapter can have matrices for.

Read from vLLM 0.32: layers of `vllm/model_executor/models`, and what `LoRAModelManager` makes of each
(vllm/lora/model_manager.py, vllm/lora/layers). Every linear layer of the text model takes adapters;
embeddings and output layer only where the model's class names them in `embedding_modules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sizing.models.architecture import AdapterSupport, LinearLayer
from sizing.models.huggingface.attention import DEEPSEEK_INDEX_HEAD, head_dim, kv_heads
from sizing.models.huggingface.families import Family
from sizing.models.huggingface.feed_forward import expert_count, shared_width
from sizing.models.huggingface.fields import Fields
from sizing.models.huggingface.windows import LayerKind


@dataclass(frozen=True)
class Build:
    """How vLLM's class for a model type differs in what it stacks and adapts.

    ends: which of embeddings and output layer take adapters. attention, gate_up, linear_attention: parts that
    have matrices of their own in the stacked layer of queries, keys and values, of gate and up, and of linear
    attention. expert_gate_up: the same for experts.
    """

    ends: Literal["both", "input", "neither"] = "neither"
    attention: int = 3
    gate_up: int = 2
    linear_attention: int = 4
    expert_gate_up: int = 2


BOTH_ENDS, INPUT, NEITHER = Build("both"), Build("input"), Build()

BUILDS = {
    "llama": BOTH_ENDS,
    "mistral": NEITHER,
    "ministral": NEITHER,
    "ministral3": NEITHER,
    "granite": BOTH_ENDS,
    "granitemoe": BOTH_ENDS,
    "internlm3": BOTH_ENDS,
    "mimo": NEITHER,
    "seed_oss": INPUT,
    "smollm3": INPUT,
    "arcee": INPUT,
    "phi3": Build("both", attention=1, gate_up=1),
    "phimoe": BOTH_ENDS,
    "starcoder2": INPUT,
    "nemotron": BOTH_ENDS,
    "olmo2": INPUT,
    "olmo3": INPUT,
    "cohere": INPUT,
    "cohere2": INPUT,
    "exaone4": BOTH_ENDS,
    "gemma": NEITHER,
    "gemma2": NEITHER,
    "gemma3_text": NEITHER,
    "gemma4_text": NEITHER,
    "qwen2": NEITHER,
    "qwen2_vl_text": NEITHER,
    "qwen2_5_vl_text": NEITHER,
    "qwen2_moe": NEITHER,
    "qwen3": BOTH_ENDS,
    "qwen3_vl_text": BOTH_ENDS,
    "qwen3_moe": BOTH_ENDS,
    "qwen3_vl_moe_text": Build("both", expert_gate_up=1),
    "qwen3_next": Build(linear_attention=1),
    "qwen3_5_text": BOTH_ENDS,
    "qwen3_5_moe_text": Build("both", expert_gate_up=1),
    "mixtral": BOTH_ENDS,
    "olmoe": NEITHER,
    "dots1": INPUT,
    "gpt_oss": Build(expert_gate_up=1),
    "llama4_text": BOTH_ENDS,
    "glm": Build("input", gate_up=1),
    "glm4": NEITHER,
    "glm4_moe": NEITHER,
    "ernie4_5": BOTH_ENDS,
    "ernie4_5_moe": NEITHER,
    "minimax_m2": NEITHER,
    "deepseek_v2": NEITHER,
    "deepseek_v3": NEITHER,
    "deepseek_v32": NEITHER,
    "kimi_k2": NEITHER,
    "glm4_moe_lite": NEITHER,
    "glm_moe_dsa": NEITHER,
}
"""By `model_type` of the text model, every one of FAMILIES."""

REFUSED = {
    "kimi_k25": "its class KimiK25ForConditionalGeneration in vLLM 0.32 takes no LoRA adapters",
    "kimi_vl": "its class KimiVLForConditionalGeneration in vLLM 0.32 takes no LoRA adapters",
}
"""By the `model_type` of the whole file."""


def build_of(outer_type: str | None, model_type: str) -> Build:
    """How vLLM builds a text model that is the whole file, or a part of a model of `outer_type`."""
    if outer_type == "qwen3_5_moe_text":  # only the multimodal class has experts' gate and up in one
        return BOTH_ENDS
    return BUILDS[model_type]


def adapter_support(outer_type: str | None, text: Fields, build: Build) -> AdapterSupport:
    """What vLLM does with adapters of this model, beside its layers."""
    hidden, vocabulary = text.integer("hidden_size"), text.integer("vocab_size")
    per_layer = text.optional_integer("hidden_size_per_layer_input")
    return AdapterSupport(
        refusal="" if outer_type is None else REFUSED.get(outer_type, ""),
        input=None if build.ends == "neither" else LinearLayer(vocabulary, hidden),
        output=LinearLayer(hidden, vocabulary) if build.ends == "both" else None,
        uncounted="" if per_layer is None or per_layer == 0 else "inputs of each layer",
    )


def attention_linear(
    config: Fields, family: Family, build: Build, kind: LayerKind
) -> tuple[LinearLayer, ...]:
    """Linear layers of the attention of a layer of this kind."""
    if kind.kind == "linear":
        return _gated_delta_net(config, build)
    if family.attention == "latent":
        return _latent(config)
    return _grouped(config, family, build, kind)


def _grouped(config: Fields, family: Family, build: Build, kind: LayerKind) -> tuple[LinearLayer, ...]:
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    width, grouped = head_dim(config), kv_heads(config)
    if kind.kind == "full":
        width = config.integer("global_head_dim") if config.has("global_head_dim") else width
        if config.has("num_global_key_value_heads"):
            grouped = config.integer("num_global_key_value_heads")
    value = config.optional_integer("v_head_dim")
    value_width = width if value is None else value
    queries = 2 * heads * width if family.attention == "gated" else heads * width
    output = LinearLayer(heads * value_width, hidden, divided="inputs")
    if kind.shares_cache:
        return LinearLayer(hidden, queries, divided="outputs"), output
    key_values = grouped * (width + value_width)
    stacked = LinearLayer(
        hidden, queries + key_values, build.attention, "outputs", head_outputs=key_values, heads=grouped
    )
    return stacked, output


def _latent(config: Fields) -> tuple[LinearLayer, ...]:
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    latent, rope = config.integer("kv_lora_rank"), config.integer("qk_rope_head_dim")
    plain, value = config.integer("qk_nope_head_dim"), config.integer("v_head_dim")
    rank = config.optional_integer("q_lora_rank")
    query_width = heads * (plain + rope)
    found = [
        LinearLayer(latent, heads * (plain + value), divided="outputs"),
        LinearLayer(heads * value, hidden, divided="inputs"),
    ]
    if rank is None or rank == 0:
        found += [LinearLayer(hidden, latent + rope), LinearLayer(hidden, query_width, divided="outputs")]
        return tuple(found)
    found += [
        LinearLayer(hidden, rank + latent + rope, parts=2),
        LinearLayer(rank, query_width, divided="outputs"),
    ]
    if config.has("index_topk"):
        given = config.optional_integer("index_head_dim")
        index_width = DEEPSEEK_INDEX_HEAD if given is None else given
        found.append(LinearLayer(rank, config.integer("index_n_heads") * index_width))
    return tuple(found)


def _gated_delta_net(config: Fields, build: Build) -> tuple[LinearLayer, ...]:
    """The convolution is a linear layer to vLLM too, as wide as its kernel."""
    hidden, kernel = config.integer("hidden_size"), config.integer("linear_conv_kernel_dim")
    key_heads, value_heads = (
        config.integer("linear_num_key_heads"),
        config.integer("linear_num_value_heads"),
    )
    keys = key_heads * config.integer("linear_key_head_dim")
    values = value_heads * config.integer("linear_value_head_dim")
    return (
        LinearLayer(kernel, 2 * keys + values, divided="outputs"),
        LinearLayer(hidden, 2 * keys + 2 * values, build.linear_attention, "outputs"),
        LinearLayer(hidden, 2 * value_heads, min(build.linear_attention, 2), "outputs"),
        LinearLayer(values, hidden, divided="inputs"),
    )


def dense_linear(config: Fields, family: Family, build: Build) -> tuple[LinearLayer, ...]:
    """Linear layers of a feed-forward part without experts."""
    width = config.integer("intermediate_size_mlp", "intermediate_size")
    return _feed_forward(config.integer("hidden_size"), width, family.mlp_matrices, build)


def expert_linear(config: Fields, family: Family, build: Build) -> tuple[LinearLayer, ...]:
    """Linear layers of router, experts and what runs beside them."""
    hidden, count = config.integer("hidden_size"), expert_count(config)
    width = config.integer(family.expert_width, "moe_intermediate_size", "intermediate_size")
    found = [
        LinearLayer(hidden, count),
        LinearLayer(hidden, 2 * width, build.expert_gate_up, "outputs", experts=count),
        LinearLayer(width, hidden, divided="inputs", experts=count),
    ]
    shared = shared_width(config, width)
    if shared > 0:
        found += _feed_forward(hidden, shared, 3, build)
    if config.has("shared_expert_intermediate_size"):
        found.append(LinearLayer(hidden, 1))
    if config.flag("enable_moe_block", False):
        found += dense_linear(config, family, build)
    return tuple(found)


def _feed_forward(hidden: int, width: int, matrices: int, build: Build) -> tuple[LinearLayer, ...]:
    parts = build.gate_up if matrices == 3 else 1
    return (
        LinearLayer(hidden, (matrices - 1) * width, parts, "outputs"),
        LinearLayer(width, hidden, divided="inputs"),
    )
