"""What checkpoints call the linear layers of a model, and which of them engines hold as one.

The names are those of the model classes in transformers 5.19; what is held as one is
`packed_modules_mapping` of the classes in vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

STACKS: Sequence[tuple[str, frozenset[str]]] = (
    ("qkv_proj", frozenset({"q_proj", "k_proj", "v_proj"})),
    ("gate_up_proj", frozenset({"gate_proj", "up_proj"})),
    ("in_proj_qkvz", frozenset({"in_proj_qkv", "in_proj_z"})),
    ("in_proj_ba", frozenset({"in_proj_b", "in_proj_a"})),
    ("fused_qkv_a_proj", frozenset({"q_a_proj", "kv_a_proj_with_mqa"})),
)
"""Layers that engines hold as one, and its name: all of them have to be held alike."""

GATE_AND_UP = {"mlp.gate_proj": "mlp.gate_up_proj", "mlp.up_proj": "mlp.gate_up_proj"}
MIXTRAL = {
    "mlp.experts.*.gate_proj": "block_sparse_moe.experts.*.w1",
    "mlp.experts.*.up_proj": "block_sparse_moe.experts.*.w3",
    "mlp.experts.*.down_proj": "block_sparse_moe.experts.*.w2",
}
STACKED_EXPERTS = {
    "mlp.experts.*.gate_proj": "mlp.experts.gate_up_proj",
    "mlp.experts.*.up_proj": "mlp.experts.gate_up_proj",
    "mlp.experts.*.down_proj": "mlp.experts.down_proj",
}
QWEN_SHARED = {
    f"mlp.shared_experts.{name}_proj": f"mlp.shared_expert.{name}_proj" for name in ("gate", "up", "down")
}
QWEN_NEXT = {
    "linear_attn.in_proj_qkv": "linear_attn.in_proj_qkvz",
    "linear_attn.in_proj_z": "linear_attn.in_proj_qkvz",
    "linear_attn.in_proj_b": "linear_attn.in_proj_ba",
    "linear_attn.in_proj_a": "linear_attn.in_proj_ba",
}
LLAMA4 = {
    **{f"mlp.{name}_proj": f"feed_forward.{name}_proj" for name in ("gate", "up", "down")},
    **{
        f"mlp.experts.*.{name}_proj": f"feed_forward.experts.*.{name}_proj" for name in ("gate", "up", "down")
    },
    **{
        f"mlp.shared_experts.{name}_proj": f"feed_forward.shared_expert.{name}_proj"
        for name in ("gate", "up", "down")
    },
}
OWN_NAMES: Mapping[str, Mapping[str, str]] = {
    "phi3": {
        **{f"self_attn.{name}_proj": "self_attn.qkv_proj" for name in ("q", "k", "v")},
        **GATE_AND_UP,
    },
    "glm": GATE_AND_UP,
    "glm4": GATE_AND_UP,
    "starcoder2": {"mlp.up_proj": "mlp.c_fc", "mlp.down_proj": "mlp.c_proj"},
    "mixtral": MIXTRAL,
    "phimoe": MIXTRAL,
    "minimax_m2": MIXTRAL,
    "granitemoe": {
        "mlp.experts.*.gate_proj": "block_sparse_moe.input_linear",
        "mlp.experts.*.up_proj": "block_sparse_moe.input_linear",
        "mlp.experts.*.down_proj": "block_sparse_moe.output_linear",
    },
    "gpt_oss": STACKED_EXPERTS,
    "qwen2_moe": QWEN_SHARED,
    "qwen3_next": {**QWEN_SHARED, **QWEN_NEXT},
    "qwen3_5_moe_text": QWEN_SHARED,
    "llama4_text": LLAMA4,
    "gemma4_text": {
        f"mlp.experts.*.{name}_proj": f"experts.*.{name}_proj" for name in ("gate", "up", "down")
    },
}
"""By the model type of the text model: names that differ from those of `Module`."""

LAYERS = ("model.layers.", "model.language_model.layers.", "language_model.model.layers.")
"""What stands before the number of a layer: alone, and within a multimodal model of transformers from 4.52 on
and before."""


def own_name(name: str, model_type: str) -> str:
    """A module's name within its layer, as checkpoints of this model type have it."""
    return OWN_NAMES.get(model_type, {}).get(name, name)


def stack_of(name: str) -> tuple[str, str] | None:
    """The layer that engines hold this one in: where it is, and its name; None for a layer by itself."""
    within, _, last = name.rpartition(".")
    for stack, members in STACKS:
        if last in members:
            return within, stack
    return None


def full_names(name: str, layer: int | None) -> tuple[str, ...]:
    """The names under which a list may have this module of a layer, or of no layer."""
    if layer is not None:
        return tuple(f"{before}{layer}.{name}" for before in LAYERS)
    if name == "lm_head":
        return "lm_head", "language_model.lm_head", "model.lm_head"
    return f"model.{name}", f"model.language_model.{name}", f"language_model.model.{name}"
