"""Which object of a config.json describes the text model, and with which defaults."""

from __future__ import annotations

from sizing.choices import valid_choices
from sizing.models.huggingface.defaults import with_defaults
from sizing.models.huggingface.families import FAMILIES, TEXT_MODELS, UNSUPPORTED
from sizing.models.huggingface.fields import ConfigError, Fields, UnsupportedModelError

FLAT = ("qwen2_vl", "qwen2_5_vl")
"""Multimodal types whose files have the text model's fields beside `vision_config`."""

REFUSED_FIELDS = {
    "per_layer_config": "layers of several shapes follow no formula here",
    "block_configs": "layers of several shapes follow no formula here",
}
"""Fields that change sizes in ways that are not counted; absent, null and empty are all the same."""


def text_model(whole: Fields) -> tuple[Fields, str]:
    """The text model's fields with transformers' defaults, and its type.

    Raises UnsupportedModelError for a type that is not known, ConfigError for a file without one or with
    fields that are not counted.
    """
    outer_type = whole.text("model_type")
    if outer_type is None:
        raise ConfigError(f"{whole.place}: model_type is missing: this is no config.json of a model")
    _reject(whole, outer_type)
    nested = whole.object("text_config") or whole.object("llm_config")
    if nested is None:
        if outer_type in TEXT_MODELS and outer_type not in FLAT:
            raise ConfigError(f"{whole.place}: text_config is missing, the object of the text model")
        model_type = _known(whole, TEXT_MODELS.get(outer_type, outer_type))
        text = Fields(whole.place, with_defaults(whole, model_type))
    else:
        if outer_type not in TEXT_MODELS:
            raise UnsupportedModelError(
                f'{whole.place}: model type "{outer_type}" with a text_config is not supported: '
                f"{valid_choices(outer_type, TEXT_MODELS)}"
            )
        named = nested.text("model_type")
        model_type = TEXT_MODELS[outer_type] if named is None else TEXT_MODELS.get(named, named)
        values = with_defaults(nested, _known(whole, model_type))
        if nested.values.get("tie_word_embeddings") is None and whole.has("tie_word_embeddings"):
            values["tie_word_embeddings"] = whole.values["tie_word_embeddings"]
        text = Fields(nested.place, {**values, "model_type": model_type})
    _refuse_uncounted(text)
    return text, model_type


def _refuse_uncounted(text: Fields) -> None:
    for name, why in REFUSED_FIELDS.items():
        if text.values.get(name) not in (None, [], {}):
            raise ConfigError(f"{text.place}: {name} is not supported: {why}")
    if text.values.get("use_bidirectional_attention") in (True, "all") or not text.flag("is_causal", True):
        name = "is_causal" if text.has("is_causal") else "use_bidirectional_attention"
        raise ConfigError(
            f"{text.place}: {name} is {text.values[name]!r}: an encoder generates no text and has no KV cache"
        )


def _known(whole: Fields, model_type: str) -> str:
    _reject(whole, model_type)
    if model_type not in FAMILIES:
        raise UnsupportedModelError(
            f'{whole.place}: model type "{model_type}" is not supported: '
            f"{valid_choices(model_type, FAMILIES)}"
        )
    return model_type


def _reject(whole: Fields, model_type: str) -> None:
    if model_type in UNSUPPORTED:
        raise UnsupportedModelError(
            f'{whole.place}: model type "{model_type}" is not supported: {UNSUPPORTED[model_type]}'
        )
