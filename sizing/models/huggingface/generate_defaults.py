"""Writes data/defaults.json: what transformers' configuration classes fill in where a config.json is silent.

    python -m sizing.models.huggingface.generate_defaults

runs in an environment with transformers, in the release that the engine has (vLLM 0.32: 5.19.0). It is no
dependency of this product, and PyTorch is not needed. A difference in the file it writes is what a new
release of transformers reads otherwise.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import inspect
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sizing.models.huggingface.families import FAMILIES, TEXT_MODELS

OUTPUT = Path(__file__).parent / "data" / "defaults.json"

CLASSES = {"kimi_k2": "deepseek_v3", "mimo": "qwen2"}
"""Model types that transformers has no class of, and the type whose class they are read with: by vLLM 0.32
(`_CONFIG_REGISTRY` of vllm/transformers_utils/config.py) and as a subclass in MiMo's own repository."""

OTHER_NAMES = {
    "deepseek_v32": {"num_experts": "n_routed_experts"},
    "glm_moe_dsa": {"num_experts": "n_routed_experts"},
}
"""Names of fields that `__post_init__` of a class takes for others, beside its `attribute_map`."""

DERIVED = {"glm4_moe_lite": {"first_k_dense_replace": 1}}
"""What `__post_init__` derives and vLLM reads from the file: `mlp_layer_types` begins with a dense layer."""

TOWERS = ("siglip_vision_model", "clip_vision_model")
"""Vision towers that a file may name beside the one that its multimodal class takes otherwise."""

IRRELEVANT = re.compile(
    r"dropout|pdrop|_token_id|use_cache|pretraining_tp|^rope|_logit|logits|norm_topk_prob|^n_group|^topk_group"
    r"|query_pre_attn|tokens_per_second|^num_mtp_layers|fullatt_block"
)
"""Fields that decide neither weights nor cache."""

SILENT_ARGUMENT = re.compile(r'kwargs\.(?:pop|get|setdefault)\("(\w+)",\s*(-?\d+|True|False|None)\)')
"""A field that a class takes without declaring it, with its default."""


def defaults_of(configuration: Any, inherited: frozenset[str]) -> dict[str, object]:
    """Fields of a configuration class with their defaults: whole numbers, switches, lists, and null for a
    field that the class derives from others or does without."""
    found: dict[str, object] = {}
    for name, written in SILENT_ARGUMENT.findall(inspect.getsource(configuration)):
        if not IRRELEVANT.search(name):
            found[name] = json.loads(written.lower().replace("none", "null"))
    for field in dataclasses.fields(configuration):
        if IRRELEVANT.search(field.name) or field.name in inherited:
            continue
        value = field.default
        if field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        if value is None or isinstance(value, bool | int):
            found[field.name] = value
        elif isinstance(value, list | tuple) and all(isinstance(item, int | str) for item in value):
            found[field.name] = list(value)
    return dict(sorted(found.items()))


def plain_fields(configured: Any, names: Mapping[str, object]) -> dict[str, object]:
    """Values that a configuration has in the end, of the fields `names`."""
    values = configured.to_dict()
    return {name: values.get(name, default) for name, default in names.items()}


def generate() -> Mapping[str, object]:
    """The document: `text`, by model type of a text model; `multimodal`, which text model and which vision
    tower a multimodal type takes where the file names none; `vision`, by model type of a tower."""
    transformers = importlib.import_module("transformers")
    known = transformers.CONFIG_MAPPING
    inherited = frozenset(
        field.name
        for field in dataclasses.fields(transformers.PreTrainedConfig)
        if field.name != "tie_word_embeddings"
    )
    text: dict[str, object] = {}
    for model_type in FAMILIES:
        name = CLASSES.get(model_type, model_type)
        if name not in known:
            print(f"{model_type}: transformers has no class of it", file=sys.stderr)
            continue
        fields = defaults_of(known[name], inherited)
        fields |= DERIVED.get(model_type, {})
        fields.setdefault("tie_word_embeddings", getattr(known[name](), "tie_word_embeddings", False))
        text[model_type] = {
            "class_name": known[name].__name__,
            "aliases": {**known[name].attribute_map, **OTHER_NAMES.get(model_type, {})},
            "fields": fields,
        }
    vision: dict[str, object] = {name: defaults_of(known[name], inherited) for name in TOWERS}
    multimodal: dict[str, object] = {}
    for outer_type in TEXT_MODELS:
        if outer_type not in known:
            continue
        absent = known[outer_type]().vision_config
        tower = known[outer_type](vision_config={}).vision_config
        name = tower.model_type
        vision.setdefault(name, defaults_of(type(tower), inherited))
        fields = vision[name]
        multimodal[outer_type] = {
            "text": known[outer_type](text_config={}).text_config.model_type,
            "vision": name,
            "without_vision_config": None
            if absent is None or not isinstance(fields, dict)
            else plain_fields(absent, fields),
        }
    return {
        "source": f"configuration classes of transformers {transformers.__version__}",
        "as_of": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "text": text,
        "multimodal": multimodal,
        "vision": vision,
    }


def in_lines(document: Mapping[str, object]) -> str:
    """JSON with one line for each model type, so that a difference shows which one changed."""
    parts: list[str] = []
    for name, value in document.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"    {json.dumps(key)}: {json.dumps(row)}" for key, row in value.items())
            parts.append(f"  {json.dumps(name)}: {{\n{rows}\n  }}")
        else:
            parts.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(in_lines(generate()), encoding="utf-8")
