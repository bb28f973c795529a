"""What `quantization_config` means: how many bytes which weights take."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sizing.models.architecture import BYTES_PER_VALUE, LINEAR, Component, Precision, Quantization
from sizing.models.huggingface.fields import ConfigError, Fields

SIXTEEN_BIT = Quantization("bf16", None, 2.0, frozenset())

EXAMPLES: dict[Component, Sequence[str]] = {
    "attention": ("model.layers.0.self_attn.q_proj", "model.layers.3.self_attn.o_proj"),
    "linear attention": ("model.layers.0.linear_attn.in_proj_qkv",),
    "mlp": ("model.layers.0.mlp.gate_proj",),
    "experts": ("model.layers.5.mlp.experts.0.gate_proj", "model.layers.5.block_sparse_moe.experts.0.w1"),
    "shared experts": ("model.layers.5.mlp.shared_experts.gate_proj",),
    "vision": ("model.visual.blocks.0.attn.qkv",),
}
"""Module names by which a list of exceptions is read. A component is left out only if all of its match."""


def quantization(config: Fields) -> Quantization:
    """The quantisation of a whole config.json. Raises ConfigError on a method that is not known."""
    found = config.object("quantization_config") or config.object("compression_config")
    if found is None:
        return SIXTEEN_BIT
    method = found.text("quant_method")
    if method is None:
        method = "modelopt" if found.has("quant_algo") else ""
    excluded = _excluded(found)
    if method in ("awq", "gptq", "auto_awq", "auto_gptq", "auto-round", "awq_marlin", "gptq_marlin"):
        return _integer(method, found.integer("bits", "w_bit"), _group_size(found), excluded)
    if method == "mxfp4" or method == "gpt_oss_mxfp4":
        return Quantization("mxfp4", method, BYTES_PER_VALUE["mxfp4"], frozenset({"experts"}))
    if method in ("fp8", "fbgemm_fp8"):
        return Quantization("fp8", method, 1.0, LINEAR - excluded)
    if method in ("compressed-tensors", "compressed_tensors"):
        return _compressed_tensors(found, excluded)
    if method == "modelopt":
        return _modelopt(found, excluded)
    if method == "bitsandbytes":
        if found.flag("load_in_4bit", False):
            return Quantization("int4", method, 0.52, LINEAR - excluded)
        return Quantization("int8", method, 1.0, LINEAR - excluded)
    raise ConfigError(
        f'{found.place}: quant_method "{method}" is not known: awq, gptq, fp8, fbgemm_fp8, '
        "compressed-tensors, mxfp4, modelopt and bitsandbytes are"
    )


def _integer(method: str, bits: int, group: int | None, excluded: frozenset[Component]) -> Quantization:
    """Weights in groups that share a 16-bit scale and a zero; without a group one scale per row."""
    if bits not in (4, 8):
        raise ConfigError(f"quantization_config: {bits} bits are not known, 4 and 8 are")
    scales = 0.0 if group is None else (2 + bits / 8) / group
    precision: Precision = "int4" if bits == 4 else "int8"
    return Quantization(precision, method, bits / 8 + scales, LINEAR - excluded)


def _group_size(found: Fields) -> int | None:
    """Weights that share a scale; None, which files write as -1, is one scale per row."""
    if found.values.get("group_size") == -1:
        return None
    size = found.optional_integer("group_size", "q_group_size")
    return None if size == 0 else size


def _compressed_tensors(found: Fields, excluded: frozenset[Component]) -> Quantization:
    """The first group of `config_groups` speaks for all; `targets` and `ignore` say which modules."""
    groups = found.object("config_groups")
    first = None if groups is None or not groups.values else groups.object(next(iter(groups.values)))
    weights = None if first is None else first.object("weights")
    if weights is None:
        raise ConfigError(f"{found.place}: config_groups names no weights")
    bits, kind = weights.integer("num_bits"), weights.text("type")
    group = _group_size(weights)
    cache = found.values.get("kv_cache_scheme") is not None
    reached = LINEAR - excluded
    if kind == "float" and bits == 4:
        micro = group == 32
        precision: Precision = "mxfp4" if micro else "nvfp4"
        return Quantization(precision, "compressed-tensors", BYTES_PER_VALUE[precision], reached, cache)
    if kind == "float" and bits == 8:
        return Quantization("fp8", "compressed-tensors", 1.0, reached, cache)
    one = _integer("compressed-tensors", bits, group, excluded)
    return Quantization(one.precision, one.method, one.bytes_per_value, reached, cache)


def _modelopt(found: Fields, excluded: frozenset[Component]) -> Quantization:
    inner = found.object("quantization") or found
    algorithm = inner.text("quant_algo") or ""
    cache = (inner.text("kv_cache_quant_algo") or "").upper() == "FP8"
    cache = cache or found.values.get("kv_cache_scheme") is not None
    reached = LINEAR - excluded
    if "NVFP4" in algorithm.upper():
        return Quantization("nvfp4", "modelopt", BYTES_PER_VALUE["nvfp4"], reached, cache)
    if "FP8" in algorithm.upper():
        return Quantization("fp8", "modelopt", 1.0, reached, cache)
    raise ConfigError(f'{found.place}: quant_algo "{algorithm}" is not known: FP8 and NVFP4 are')


def _excluded(found: Fields) -> frozenset[Component]:
    """Components that the checkpoint leaves in 16 bits."""
    inner = found.object("quantization")
    patterns: list[str] = []
    for place in (found,) if inner is None else (found, inner):
        for name in ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules"):
            patterns += place.texts(name)
    return frozenset(
        component
        for component, examples in EXAMPLES.items()
        if patterns and all(any(_matches(pattern, name) for pattern in patterns) for name in examples)
    )


def _matches(pattern: str, module: str) -> bool:
    """Whether an entry of a list of exceptions means this module: a regular expression after `re:`, a shell
    pattern, or part of the name."""
    # Multimodal checkpoints name the text model's layers with one more word.
    pattern = pattern.replace("language_model.", "")
    if pattern.startswith("re:"):
        try:
            return re.match(pattern.removeprefix("re:"), module) is not None
        except re.error as error:
            raise ConfigError(f'quantization_config: "{pattern}" is no regular expression: {error}') from None
    if "*" in pattern:
        return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), module) is not None
    return module == pattern or module.startswith(f"{pattern}.") or f".{pattern}." in f".{module}."
