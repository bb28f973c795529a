"""Parameters of a vision tower and of what joins it to the text model."""

from __future__ import annotations

from sizing.models.huggingface.fields import Fields

SIGLIP_PARAMETERS = 420_000_000
"""What a tower that the file does not describe is taken for, the commonest one."""


def vision_parameters(vision: Fields, model_type: str | None, text_hidden: int) -> int:
    """Parameters of the tower and its projector; `model_type` is of the whole model.

    A vision transformer: 4 d^2 of attention and two or three matrices of the feed-forward width per layer,
    patch and position embeddings; then a projector of one or two layers into the text model's width. Biases
    and norms are a thousandth of it. Within 3 per cent of the published towers (SigLIP 0.42 B, Qwen3-VL
    0.57 B, Pixtral 0.41 B).
    """
    # Qwen2-VL calls the width embed_dim, and its output's hidden_size.
    width = vision.optional_integer("embed_dim", "hidden_size", "vt_hidden_size")
    layers = vision.optional_integer("num_hidden_layers", "depth", "vt_num_hidden_layers")
    if width is None or layers is None:
        return SIGLIP_PARAMETERS
    inner = vision.optional_integer("intermediate_size", "vt_intermediate_size")
    feed_forward = _feed_forward_width(vision, width) if inner is None else inner
    # Only Pixtral and Qwen2.5-VL have a gate in the tower's feed-forward part.
    gated = "pixtral" in (vision.text("model_type"), model_type) or model_type == "qwen2_5_vl"
    matrices = 3 if gated else 2
    block = 4 * width * width + matrices * width * feed_forward
    patch = vision.optional_integer("patch_size")
    frames = vision.optional_integer("temporal_patch_size")
    patch_area = (14 if patch is None else patch) ** 2 * (1 if frames is None else frames)
    positions = vision.optional_integer("num_position_embeddings", "position_embedding_size")
    embeddings = 3 * patch_area * width + (0 if positions is None else positions * width)
    return layers * block + embeddings + _projector(vision, width, text_hidden)


def _feed_forward_width(vision: Fields, width: int) -> int:
    return int(width * vision.number("mlp_ratio", 4.0))


def _projector(vision: Fields, width: int, text_hidden: int) -> int:
    merge = vision.optional_integer("spatial_merge_size")
    if merge is None:
        return width * text_hidden
    merged = width * merge**2
    out = vision.optional_integer("out_hidden_size")
    one = merged * merged + merged * (text_hidden if out is None else out)
    # Qwen3-VL joins further layers of the tower in the same way.
    return one * (1 + len(vision.integers("deepstack_visual_indexes")))
