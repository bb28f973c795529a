"""Feed-forward part of one layer: one network for every token, or experts among which a router chooses."""

from __future__ import annotations

from sizing.models.architecture import ExpertShape, Module, Weight
from sizing.models.huggingface.families import Family
from sizing.models.huggingface.fields import Fields


def expert_count(config: Fields) -> int:
    """Experts of a layer; 0 for a dense model."""
    found = config.optional_integer("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
    return 0 if found is None else found


def experts_per_token(config: Fields) -> int:
    """Experts that each token is sent to."""
    return config.integer("num_experts_per_tok", "experts_per_token", "top_k_experts", "moe_k", "top_k")


def has_experts(config: Fields, layer: int) -> bool:
    """Whether this layer is a mixture of experts. Files say it in nine ways."""
    if expert_count(config) == 0 or layer in config.integers("mlp_only_layers"):
        return False
    kinds = config.texts("mlp_layer_types")
    if len(kinds) > layer:
        return kinds[layer] == "sparse"
    listed = config.integers("moe_layers")
    if listed:
        return layer in listed
    first = config.optional_integer("first_k_dense_replace", "moe_layer_start_index")
    if first is not None and layer < first:
        return False
    last = config.values.get("moe_layer_end_index")  # -1 is the last layer
    if last not in (None, -1) and layer > config.integer("moe_layer_end_index"):
        return False
    frequency = config.optional_integer("moe_layer_freq")
    if frequency is not None and frequency > 1 and layer % frequency != 0:
        return False
    every = config.optional_integer("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval")
    return every is None or every < 2 or (layer + 1) % every == 0


def dense(config: Fields, family: Family) -> tuple[Weight, ...]:
    """Weights of a layer's feed-forward part without experts."""
    hidden = config.integer("hidden_size")
    width = config.integer("intermediate_size_mlp", "intermediate_size")
    biased = config.flag("mlp_bias", config.flag("use_bias", False))
    inner, outer = (width, hidden) if biased else (0, 0)
    modules = _projections("mlp", hidden * width, family.mlp_matrices, inner, outer)
    return (Weight("mlp", sum(module.parameters for module in modules), modules=modules),)


def _projections(
    within: str, matrix: int, matrices: int, inner_bias: int = 0, outer_bias: int = 0
) -> tuple[Module, ...]:
    """Gate (where there are three matrices), up and down projection."""
    gate = (Module(f"{within}.gate_proj", matrix + inner_bias),) if matrices == 3 else ()
    return (
        *gate,
        Module(f"{within}.up_proj", matrix + inner_bias),
        Module(f"{within}.down_proj", matrix + outer_bias),
    )


def double_wide(config: Fields) -> Fields:
    """The fields of a layer that reads an earlier one's cache: in some Gemma-4 models it is twice as wide."""
    if not config.flag("use_double_wide_mlp", False):
        return config
    return Fields(
        config.place, {**config.values, "intermediate_size": 2 * config.integer("intermediate_size")}
    )


def experts(config: Fields, family: Family) -> tuple[Weight, ...]:
    """Weights of a layer's router, its experts, and what runs beside them for every token."""
    hidden, count = config.integer("hidden_size"), expert_count(config)
    width = config.integer(family.expert_width, "moe_intermediate_size", "intermediate_size")
    inner, outer = (count * width, count * hidden) if family.expert_bias else (0, 0)
    modules = _projections("mlp.experts.*", count * hidden * width, 3, inner, outer)
    parameters = sum(module.parameters for module in modules)
    found = [
        Weight("experts", parameters, expert=ExpertShape(width, hidden), modules=modules),
        Weight("router", count * hidden + count, ways=1),
    ]
    shared = shared_width(config, width)
    if shared > 0:
        beside = _projections("mlp.shared_experts", hidden * shared, 3)
        found.append(Weight("shared experts", 3 * hidden * shared, modules=beside))
    if config.has("shared_expert_intermediate_size"):
        found.append(Weight("router", hidden, ways=1))  # the gate of the shared expert
    if config.flag("enable_moe_block", False):  # Gemma-4 runs a dense network beside the experts
        found += dense(config, family)
    return tuple(found)


def shared_width(config: Fields, expert_width: int) -> int:
    """Width of what runs beside the experts for every token, all shared experts together; 0 without."""
    own = config.optional_integer("shared_expert_intermediate_size", "shared_intermediate_size")
    if own is not None:
        return own
    count = config.optional_integer("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
    if count is not None:
        return count * expert_width
    # Llama-4 always has one, of the same width, and says it nowhere.
    return expert_width if config.text("model_type") == "llama4_text" else 0
