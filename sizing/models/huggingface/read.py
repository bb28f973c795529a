"""A Hugging Face config.json as an Architecture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from sizing.models.architecture import Architecture, Layer, Weight
from sizing.models.huggingface.attention import attention_layer, head_dim, kv_heads, without_index
from sizing.models.huggingface.audio import audio_parameters
from sizing.models.huggingface.defaults import tower_of, tower_with_defaults
from sizing.models.huggingface.families import FAMILIES, Family
from sizing.models.huggingface.feed_forward import (
    dense,
    double_wide,
    expert_count,
    experts,
    experts_per_token,
    has_experts,
)
from sizing.models.huggingface.fields import ConfigError, Fields
from sizing.models.huggingface.heads import head
from sizing.models.huggingface.held_weights import HeldWeights
from sizing.models.huggingface.layer_inputs import layer_input, layer_inputs
from sizing.models.huggingface.linear_layers import (
    Build,
    adapter_support,
    attention_linear,
    build_of,
    dense_linear,
    expert_linear,
)
from sizing.models.huggingface.quantization import scheme
from sizing.models.huggingface.text_model import text_model
from sizing.models.huggingface.vision import vision_parameters
from sizing.models.huggingface.windows import LayerKind, layer_kinds

LARGEST_FILE_BYTES = 4_000_000
"""A config.json has a few kilobytes, a hundred with a long list of quantised modules."""


def read_config(path: Path) -> Mapping[str, object]:
    """The object in the file at `path`, or in config.json of the folder there. Raises ConfigError if it
    cannot be read or holds no JSON object.

    Old ModelOpt checkpoints say how they are quantised in a file beside it, which vLLM reads as well
    (`get_config` of vllm/transformers_utils/config.py).
    """
    if path.is_dir():
        path = path / "config.json"
    config = _read_object(path)
    beside = path.parent / "hf_quant_config.json"
    if config.get("quantization_config") is not None or path.name != "config.json" or not beside.is_file():
        return config
    return {**config, "quantization_config": {"quant_method": "modelopt", **_read_object(beside)}}


def _read_object(path: Path) -> Mapping[str, object]:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ConfigError(f"{path}: over {LARGEST_FILE_BYTES} bytes, that is no {path.name}")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: holds a {type(found).__name__}, expected a JSON object")
    return found


def architecture(config: Mapping[str, object], place: str) -> Architecture:
    """The model that a config.json describes; `place` names the file in messages.

    Raises UnsupportedModelError for a model type whose formula is not known, ConfigError for anything else
    that is wrong with the file.
    """
    whole = Fields(place, config)
    text, model_type = text_model(whole)
    family, build = FAMILIES[model_type], build_of(whole.text("model_type"), model_type)
    heads = text.integer("num_attention_heads")
    grouped = 1 if family.attention == "latent" else kv_heads(text)
    if heads % grouped:
        raise ConfigError(
            f"{place}: {heads} attention heads are not a multiple of {grouped} num_key_value_heads"
        )
    hidden = text.integer("hidden_size")
    count = expert_count(text)
    layers = _layers(text, family, build)
    held = HeldWeights(
        scheme(whole if whole.has("quantization_config") else text), model_type, count, len(layers)
    )
    return Architecture(
        family=model_type,
        layers=tuple(replace(layer, weights=held.of(layer.weights, at)) for at, layer in enumerate(layers))
        if not held.scheme.uniform
        else layers,
        outer=held.of(_outer(whole, text, family, hidden), None),
        hidden_size=hidden,
        attention_heads=heads,
        kv_heads=grouped,
        head_dim=text.integer("kv_lora_rank") + text.integer("qk_rope_head_dim")
        if family.attention == "latent"
        else head_dim(text),
        vocabulary=text.integer("vocab_size"),
        max_context=_max_context(text),
        experts=count,
        experts_per_token=experts_per_token(text) if count > 0 else 0,
        compute_dtype=_compute_dtype(whole, text),
        quantization=held.quantization(),
        adapters=adapter_support(whole.text("model_type"), text, build),
    )


def _layers(text: Fields, family: Family, build: Build) -> tuple[Layer, ...]:
    norm = Weight("norm", family.norms * text.integer("hidden_size"), ways=1)

    @cache  # a model has few kinds of layers, and up to a hundred layers
    def built(kind: LayerKind, sparse: bool) -> Layer:
        own = text if kind.index else without_index(text)
        attention = attention_layer(own, family, kind)
        wide = double_wide(text) if kind.shares_cache else text
        part = experts(wide, family) if sparse else dense(wide, family)
        linear = expert_linear if sparse else dense_linear
        return Layer(
            attention.cache,
            (*attention.weights, norm, *part, *layer_input(text)),
            (*attention_linear(own, family, build, kind), *linear(wide, family, build)),
        )

    kinds = layer_kinds(text, family)
    return tuple(built(kind, has_experts(text, index)) for index, kind in enumerate(kinds))


def _outer(whole: Fields, text: Fields, family: Family, hidden: int) -> tuple[Weight, ...]:
    vocabulary = text.integer("vocab_size")
    weights = [Weight("embedding", vocabulary * hidden), Weight("norm", hidden, ways=1)]
    above = head(whole, text, text.flag("tie_word_embeddings", False))
    if above is not None:
        weights.append(above)
    weights += layer_inputs(text)
    vision = _tower(whole)
    if vision is not None:
        weights.append(Weight("vision", vision_parameters(whole, vision, hidden)))
    sound = audio_parameters(whole, hidden)
    if sound > 0:
        weights.append(Weight("vision", sound))
    return tuple(weights)


def _tower(whole: Fields) -> Fields | None:
    """The vision tower, with transformers' defaults; None for a model that only reads text."""
    outer_type = whole.text("model_type") or ""
    found = whole.object("vision_config") or whole.object("visual")
    return tower_of(outer_type, whole.place) if found is None else tower_with_defaults(found, outer_type)


def _max_context(text: Fields) -> int:
    """As vLLM derives it: YaRN stretches the original length, linear and dynamic scaling the given one; other
    kinds (llama3, longrope, mrope) have the stretched length in the file already."""
    positions = text.integer("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
    scaling = text.object("rope_scaling") or text.object("rope_parameters")
    # Gemma-3 has linear scaling in the file, and the stretched length too.
    if scaling is None or text.text("model_type") == "gemma3_text":
        return positions
    kind = scaling.text("rope_type") or scaling.text("type")
    factor = scaling.number("factor", 1.0)
    if kind == "yarn":
        original = scaling.optional_integer("original_max_position_embeddings")
        stretched = int((positions if original is None else original) * factor)
    else:
        stretched = int(positions * factor) if kind in ("linear", "dynamic") else positions
    if stretched < 1:
        raise ConfigError(
            f"{scaling.place}: factor and original_max_position_embeddings make a context of {stretched} "
            "tokens, expected at least 1"
        )
    return stretched


def _compute_dtype(whole: Fields, text: Fields) -> Literal["bfloat16", "float16"]:
    """What `--dtype auto` computes in; 32-bit checkpoints are computed in bfloat16."""
    for place in (text, whole):
        for name in ("dtype", "torch_dtype"):
            value = place.text(name)
            if value is not None:
                return "float16" if value in ("float16", "half") else "bfloat16"
    return "bfloat16"
