"""Which model types are known, and by what each differs from a plain Llama.

The facts are those of the model classes in Hugging Face transformers 5.19 and vLLM 0.32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """attention: grouped-query, the same with a gate on its output, or latent.

    qkv_bias, output_bias: biases where config.json does not say; None reads `attention_bias`.
    qk_norm: norms of queries and keys over the head (or the whole width). norms: of the hidden size, per
    layer. mlp_matrices: 3 with a gate, 2 without. windows: which layers keep a window where `layer_types`
    is not given. expert_width: field that holds the width of an expert.
    """

    attention: Literal["grouped", "gated", "latent"] = "grouped"
    qkv_bias: bool | None = None
    output_bias: bool | None = None
    qk_norm: Literal["none", "head", "width"] = "none"
    norms: int = 2
    mlp_matrices: int = 3
    windows: Literal[
        "all",
        "alternate",
        "pattern",
        "pattern, last full",
        "last",
        "first alternate",
        "without positions",
        "chunks",
        "interval",
    ] = "all"
    window_pattern: int = 0
    expert_width: str = "moe_intermediate_size"
    expert_bias: bool = False
    sinks: bool = False


LLAMA = Family()
MIXTRAL = Family(expert_width="intermediate_size")
QWEN2 = Family(qkv_bias=True, output_bias=False, windows="last")
QWEN3 = Family(qk_norm="head", windows="last")
QWEN3_ALL = Family(qk_norm="head")
GEMMA2 = Family(norms=4, windows="alternate")
GEMMA3 = Family(norms=4, qk_norm="head", windows="pattern", window_pattern=6)
LATENT = Family(attention="latent")
QWEN_HYBRID = Family(attention="gated", qk_norm="head", windows="interval")

FAMILIES = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "ministral": LLAMA,
    "ministral3": LLAMA,
    "granite": LLAMA,
    "granitemoe": Family(expert_width="intermediate_size"),
    "internlm3": LLAMA,
    "mimo": QWEN2,
    "seed_oss": Family(qkv_bias=True, output_bias=False),
    "smollm3": Family(windows="without positions"),
    "arcee": Family(mlp_matrices=2),
    "phi3": LLAMA,
    "phimoe": Family(expert_width="intermediate_size"),
    "starcoder2": Family(mlp_matrices=2, qkv_bias=True, output_bias=True),
    "nemotron": Family(mlp_matrices=2),
    "olmo2": Family(qk_norm="width"),
    "olmo3": Family(qk_norm="width", windows="pattern", window_pattern=4),
    "cohere": Family(norms=1),
    "cohere2": Family(norms=1, windows="pattern", window_pattern=4),
    "exaone4": Family(qk_norm="head", windows="pattern", window_pattern=4),
    "gemma": LLAMA,
    "gemma2": GEMMA2,
    "gemma3_text": GEMMA3,
    "gemma4_text": Family(norms=4, qk_norm="head", windows="pattern, last full", window_pattern=6),
    "qwen2": QWEN2,
    "qwen2_vl_text": QWEN2,
    "qwen2_5_vl_text": QWEN2,
    "qwen2_moe": Family(qkv_bias=True, output_bias=False, windows="first alternate"),
    "qwen3": QWEN3,
    "qwen3_vl_text": QWEN3_ALL,
    "qwen3_moe": QWEN3_ALL,
    "qwen3_vl_moe_text": QWEN3_ALL,
    "qwen3_next": QWEN_HYBRID,
    "qwen3_5_text": QWEN_HYBRID,
    "qwen3_5_moe_text": QWEN_HYBRID,
    "mixtral": MIXTRAL,
    "olmoe": Family(qk_norm="width", expert_width="intermediate_size"),
    "gpt_oss": Family(
        windows="alternate", expert_width="intermediate_size", expert_bias=True, sinks=True, qkv_bias=True,
        output_bias=True,
    ),
    "llama4_text": Family(windows="chunks", expert_width="intermediate_size"),
    "glm": Family(qkv_bias=True, output_bias=False),
    "glm4": Family(qkv_bias=True, output_bias=False, norms=4),
    "glm4_moe": Family(qkv_bias=True, output_bias=False),
    "ernie4_5": LLAMA,
    "ernie4_5_moe": LLAMA,
    "minimax_m2": Family(qk_norm="width", expert_width="intermediate_size"),
    "dots1": Family(qk_norm="head", windows="last"),
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT,
    "kimi_k2": LATENT,
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT,
}  # fmt: skip
"""By `model_type` of the text model."""

TEXT_MODELS = {
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "mistral3": "mistral",
    "llama4": "llama4_text",
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "kimi_k25": "kimi_k2",
    "kimi_vl": "deepseek_v3",
    "llava": "llama",
    "llava_next": "llama",
    "llava_onevision": "qwen2",
    "aya_vision": "cohere2",
    "cohere2_vision": "cohere2",
    "internvl": "qwen2",
}
"""Multimodal model types, and the text model where `text_config` does not name its own. Files of other
multimodal types are refused: towers for sound, and adapters between tower and text model, are not counted."""

FOREIGN_CODE = {
    "kimi_k2": "the tokenizer of this model type is code of its repository (tokenization_kimi.py)",
    "internlm3": "the configuration class of this model type is code of its repository",
    "mimo": "the configuration class of this model type is code of its repository",
}
"""Model types that neither transformers 5.19 nor vLLM 0.32 can start by themselves, and what they need."""

MAMBA = "its Mamba layers follow no formula here yet"
ENCODER = "an encoder generates no text and has no KV cache"
REPOSITORY = "its configuration class is code of its repository, which is neither read nor run here"

UNSUPPORTED = {
    "deepseek_v4": "its cache holds several compressed groups: fit it from the log of a start",
    "deepseek_v41": "its cache holds several compressed groups: fit it from the log of a start",
    "gemma3n": "its per-layer embeddings and shared caches follow no formula here",
    "gemma3n_text": "its per-layer embeddings and shared caches follow no formula here",
    "gemma4_unified": "its tower follows no formula here yet",
    "nemotron_h": MAMBA,
    "granitemoehybrid": MAMBA,
    "falcon_h1": MAMBA,
    "falcon_mamba": MAMBA,
    "jamba": MAMBA,
    "bamba": MAMBA,
    "zamba2": MAMBA,
    "nemotron-nas": "its layers have several shapes (block_configs), which follow no formula here",
    "lfm2": "its short convolutions follow no formula here yet",
    "lfm2_moe": "its short convolutions follow no formula here yet",
    "minimax": "its lightning attention follows no formula here yet",
    "minimax_text_01": "its lightning attention follows no formula here yet",
    "kimi_linear": "its delta attention follows no formula here yet",
    "kimi_k3": "its delta attention follows no formula here yet",
    "mllama": "its layers that attend to images follow no formula here yet",
    "phi4mm": "its adapters for images and sound follow no formula here yet",
    "phi4_multimodal": "its adapters for images and sound follow no formula here yet",
    "qwen2_5_omni": "its towers for sound and its speaker are not counted",
    "qwen3_omni_moe": "its towers for sound and its speaker are not counted",
    "internvl_chat": f"{REPOSITORY}; the form whose name ends in -hf (internvl) is",
    "baichuan": REPOSITORY,
    "internlm2": REPOSITORY,
    "mamba": "a model without attention is not served with a KV cache",
    "mamba2": "a model without attention is not served with a KV cache",
    "bert": ENCODER,
    "modernbert": ENCODER,
    "roberta": ENCODER,
    "xlm-roberta": ENCODER,
    "whisper": "speech models are not covered",
    "t5": "encoder-decoder models are not covered",
    "mimo_v2_flash": "its mixture of attention shapes follows no formula here yet",
    "minimax_m3": "its sparse attention follows no formula here yet",
    "minimax_m3_vl": "its sparse attention follows no formula here yet",
}
"""Model types that are known and cannot be computed, with the reason."""
