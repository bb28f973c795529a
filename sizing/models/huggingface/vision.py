"""Parameters of a vision tower and of what joins it to the text model.

Read from the classes of transformers 5.19, and equal to what they build up to single vectors: less than one
part in a thousand of the tower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sizing.choices import valid_choices
from sizing.models.huggingface.fields import ConfigError, Fields


@dataclass(frozen=True)
class Tower:
    """A vision transformer. matrices: of its feed-forward part, 3 with a gate. biased: linear layers have
    biases. positions: rows of its table of position embeddings."""

    matrices: Literal[2, 3] = 2
    biased: bool = True
    positions: Callable[[Fields], int] = lambda _: 0


def _patches(vision: Fields) -> int:
    """Patches of the largest image."""
    return (_side(vision, "image_size") // _side(vision, "patch_size")) ** 2


def _side(vision: Fields, name: str) -> int:
    """A length that files write once or for both sides of a square."""
    sides = vision.integers(name) if isinstance(vision.values.get(name), list) else (vision.integer(name),)
    if len(set(sides)) != 1 or sides[0] < 1:
        raise ConfigError(f"{vision.place}: {name} is {vision.values[name]!r}, expected the side of a square")
    return sides[0]


def _grid(vision: Fields) -> int:
    return vision.integer("pos_emb_height", "init_pos_emb_height") * vision.integer(
        "pos_emb_width", "init_pos_emb_width"
    )


WITH_CLASS_TOKEN = Tower(positions=lambda vision: _patches(vision) + 1)
QWEN3_VL = Tower(positions=lambda vision: vision.integer("num_position_embeddings"))
MOONVIT = Tower(positions=_grid)

TOWERS: Mapping[str, Tower] = {
    "siglip_vision_model": Tower(positions=_patches),
    "clip_vision_model": WITH_CLASS_TOKEN,
    "llama4_vision_model": WITH_CLASS_TOKEN,
    "internvl_vision": WITH_CLASS_TOKEN,
    "pixtral": Tower(3, biased=False),
    "gemma4_vision": Tower(3, False, lambda vision: 2 * vision.integer("position_embedding_size")),
    "qwen2_vl_vision": Tower(),
    "qwen2_5_vl_vision": Tower(3),
    "qwen3_vl_vision": QWEN3_VL,
    "qwen3_vl_moe_vision": QWEN3_VL,
    "qwen3_5_vision": QWEN3_VL,
    "qwen3_5_moe_vision": QWEN3_VL,
    "kimi_k25_vision": MOONVIT,
    "moonvit": MOONVIT,
}
"""By the model type of the tower."""


def vision_parameters(whole: Fields, vision: Fields, text_hidden: int) -> int:
    """Parameters of the tower that `vision` describes, and of its projector into a text model of this width.

    Raises ConfigError for a tower that is not known.
    """
    named, outer_type = vision.text("model_type") or "", whole.text("model_type") or ""
    if named not in TOWERS or outer_type not in PROJECTORS:
        raise ConfigError(
            f'{vision.place}: model_type "{named}" is not a known vision tower: '
            f"{valid_choices(named, TOWERS)}"
        )
    tower, width = TOWERS[named], _width(vision)
    layers = vision.integer("vt_num_hidden_layers", "num_hidden_layers", "depth")
    inner = _feed_forward_width(vision, width)
    block = _attention(vision, width) + tower.matrices * width * inner
    if tower.biased:
        block += 9 * width + (tower.matrices - 1) * inner  # of attention 4, feed-forward part 1, two norms 4
    head = 0
    if named == "siglip_vision_model" and vision.flag("vision_use_head", True):
        head = 4 * width * width + 2 * width * inner
    frames = vision.optional_integer("temporal_patch_size")
    patch = 3 * _side(vision, "patch_size") ** 2 * (1 if frames is None else frames) * width
    embeddings = patch + tower.positions(vision) * width
    return layers * block + head + embeddings + PROJECTORS[outer_type](whole, vision, text_hidden)


def _width(vision: Fields) -> int:
    # Qwen2-VL calls the width embed_dim, and its output's hidden_size.
    return vision.integer("vt_hidden_size", "embed_dim", "hidden_size")


def _feed_forward_width(vision: Fields, width: int) -> int:
    if vision.has("embed_dim"):  # Qwen2-VL knows no intermediate_size
        return int(width * vision.number("mlp_ratio", 4.0))
    return vision.integer("vt_intermediate_size", "intermediate_size")


def _attention(vision: Fields, width: int) -> int:
    """Four matrices; only Gemma-4's tower says the width of a head and groups them."""
    if vision.text("model_type") != "gemma4_vision":
        return 4 * width * width
    heads, of_keys = vision.integer("num_attention_heads"), vision.integer("num_key_value_heads")
    return 2 * width * vision.integer("head_dim") * (heads + of_keys)


def _one_matrix(whole: Fields, vision: Fields, hidden: int) -> int:
    return _width(vision) * hidden


def _two_matrices(whole: Fields, vision: Fields, hidden: int) -> int:
    if isinstance(whole.values.get("vision_feature_layer"), list):
        raise ConfigError(
            f"{whole.place}: vision_feature_layer is a list: several layers at once are not counted"
        )
    return _width(vision) * hidden + hidden * hidden


def _merging_patches(whole: Fields, vision: Fields, hidden: int) -> int:
    """Mistral-3: the patches of a square become one."""
    merge = whole.optional_integer("spatial_merge_size")
    width = _width(vision)
    return (2 if merge is None else merge) ** 2 * width * width + _two_matrices(whole, vision, hidden)


def _qwen(whole: Fields, vision: Fields, hidden: int) -> int:
    merged = _width(vision) * vision.integer("spatial_merge_size") ** 2
    out = vision.integer("hidden_size" if vision.has("embed_dim") else "out_hidden_size")
    # Qwen3-VL joins further layers of the tower in the same way.
    return (merged * merged + merged * out) * (1 + len(vision.integers("deepstack_visual_indexes")))


def _kimi(whole: Fields, vision: Fields, hidden: int) -> int:
    sides = vision.integers("merge_kernel_size")
    merged = _width(vision) * (sides[0] * sides[1] if len(sides) == 2 else 4)
    return merged * merged + merged * hidden


def _llama4(whole: Fields, vision: Fields, hidden: int) -> int:
    before, after = vision.integer("projector_input_dim"), vision.integer("projector_output_dim")
    adapter = vision.integer("intermediate_size") * before + before * after
    return adapter + vision.integer("vision_output_dim") * hidden


def _cohere(whole: Fields, vision: Fields, hidden: int) -> int:
    """Half of the first matrix's outputs gate the other half."""
    factor, given = (
        whole.optional_integer("downsample_factor"),
        whole.optional_integer("alignment_intermediate_size"),
    )
    # The classes' own: Aya-Vision takes the text model's width, Command A Vision has a figure.
    otherwise = hidden if whole.text("model_type") == "aya_vision" else 36_864
    inner = otherwise if given is None else given
    return (2 if factor is None else factor) ** 2 * _width(vision) * inner + inner // 2 * hidden


def _internvl(whole: Fields, vision: Fields, hidden: int) -> int:
    merged = round(_width(vision) / whole.number("downsample_ratio", 0.5) ** 2)
    return merged * hidden + hidden * hidden


PROJECTORS: Mapping[str, Callable[[Fields, Fields, int], int]] = {
    "gemma3": _one_matrix,
    "gemma4": _one_matrix,
    "llava": _two_matrices,
    "llava_next": _two_matrices,
    "llava_onevision": _two_matrices,
    "mistral3": _merging_patches,
    "llama4": _llama4,
    "qwen2_vl": _qwen,
    "qwen2_5_vl": _qwen,
    "qwen3_vl": _qwen,
    "qwen3_vl_moe": _qwen,
    "qwen3_5": _qwen,
    "qwen3_5_moe": _qwen,
    "kimi_k25": _kimi,
    "kimi_vl": _kimi,
    "aya_vision": _cohere,
    "cohere2_vision": _cohere,
    "internvl": _internvl,
}
"""By the model type of the whole file."""
