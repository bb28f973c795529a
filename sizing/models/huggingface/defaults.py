"""What transformers' configuration classes fill in where a config.json is silent: data/defaults.json.

`python -m sizing.models.huggingface.generate_defaults` writes that file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sizing.models.huggingface.fields import ConfigError, Fields


@dataclass(frozen=True)
class TextClass:
    """A configuration class of transformers.

    class_name: for messages. aliases: other names of a field, and its own. fields: defaults; null for what
    the class derives from others or does without.
    """

    class_name: str
    aliases: Mapping[str, str]
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class MultimodalClass:
    """text, vision: model types that a multimodal class takes where the file names none.
    without_vision_config: fields of its tower where the file has no vision_config; null: no tower."""

    text: str
    vision: str
    without_vision_config: Mapping[str, Any] | None


@dataclass(frozen=True)
class Defaults:
    """The document. text, vision: by model type; multimodal: by the model type of the whole file."""

    source: str
    as_of: str
    text: Mapping[str, TextClass]
    multimodal: Mapping[str, MultimodalClass]
    vision: Mapping[str, Mapping[str, Any]]


def _read(path: Path) -> Defaults:
    """The document, which a command writes: its fields are taken as they are, in a tenth of the time."""
    document = json.loads(path.read_bytes())
    return Defaults(
        source=document["source"],
        as_of=document["as_of"],
        text={name: TextClass(**fields) for name, fields in document["text"].items()},
        multimodal={name: MultimodalClass(**fields) for name, fields in document["multimodal"].items()},
        vision=document["vision"],
    )


DEFAULTS = _read(Path(__file__).parent / "data" / "defaults.json")

NO_CLASS = TextClass("", {}, {})
"""Of model types that only code outside transformers reads: nothing is filled in, nothing is left out."""

READ_OF_ANY = frozenset({"head_dim", "layer_types", "sliding_window", "max_position_embeddings"})
"""Fields that transformers' model classes or vLLM ask every configuration for, declared or not."""

DEEPSEEK = frozenset(
    {
        "index_topk",
        "index_n_heads",
        "index_head_dim",
        "index_topk_freq",
        "index_topk_pattern",
        "index_skip_topk_offset",
        "moe_layer_freq",
    }
)

READ_BY_VLLM = {
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3": DEEPSEEK,
    "deepseek_v32": DEEPSEEK,
    "kimi_k2": DEEPSEEK,
    "glm_moe_dsa": DEEPSEEK,
    "glm4_moe_lite": DEEPSEEK,
}
"""Fields that classes of transformers do not declare and vLLM 0.32 reads (vllm/model_executor/models)."""

DECIDING = frozenset(name for known in DEFAULTS.text.values() for name in known.fields) | {
    "index_topk_pattern",
    "moe_layer_freq",
    "num_shared_experts",
    "qk_layernorm",
    "shared_intermediate_size",
}
"""Fields by which some class decides a size. A class that does not declare one takes no notice of it."""


def with_defaults(text: Fields, model_type: str) -> dict[str, object]:
    """The fields of a text model as transformers reads them: under the class's own names, with its defaults,
    without those that only other classes know. A null in the file stays one: it is a value, not a gap.

    Raises ConfigError for a file that gives one field two values under two names.
    """
    known = DEFAULTS.text.get(model_type, NO_CLASS)
    if known is NO_CLASS:
        return dict(text.values)
    renamed: dict[str, object] = {}
    for alias, name in known.aliases.items():
        given = [one for one in (alias, name) if text.has(one)]
        if len(given) == 2 and text.values[alias] != text.values[name]:
            raise ConfigError(
                f"{text.place}: {alias} is {text.values[alias]!r} and {name} is {text.values[name]!r}, but "
                f"both are one field of transformers' {known.class_name}: leave one of them out"
            )
        if given:
            renamed |= dict.fromkeys((alias, name), text.values[given[0]])
    unread = DECIDING - known.fields.keys() - READ_OF_ANY - READ_BY_VLLM.get(model_type, frozenset())
    read = {name: value for name, value in text.values.items() if name not in unread}
    return {**known.fields, **read, **renamed}


def tower_with_defaults(vision: Fields, outer_type: str) -> Fields:
    """The fields of a vision tower as transformers reads them in a multimodal model of `outer_type`."""
    named = vision.text("model_type")
    outer = DEFAULTS.multimodal.get(outer_type)
    # Files of Qwen3.5 repeat the type of the whole model there, those of Kimi-K2.5 in NVFP4 have none.
    if outer is not None and named in (None, "", outer_type):
        named = outer.vision
    filled = {} if named is None else DEFAULTS.vision.get(named, {})
    return Fields(vision.place, {**filled, **vision.values, "model_type": named})


def tower_of(outer_type: str, place: str) -> Fields | None:
    """The vision tower of a multimodal model whose file has no vision_config, or None if it then has none."""
    outer = DEFAULTS.multimodal.get(outer_type)
    if outer is None or outer.without_vision_config is None:
        return None
    return Fields(f"{place}: vision_config", {"model_type": outer.vision, **outer.without_vision_config})
