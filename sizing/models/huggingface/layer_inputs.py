"""Inputs of each layer: small Gemma-4 models look tokens up in a second table, one row for all layers.

Read from `Gemma4TextModel` of transformers 5.19 and vLLM 0.32 (vllm/model_executor/models/gemma4.py), which
keeps the table on the GPU.
"""

from __future__ import annotations

from sizing.models.architecture import Module, Weight
from sizing.models.huggingface.fields import Fields


def _width(config: Fields) -> int:
    width = config.optional_integer("hidden_size_per_layer_input")
    return 0 if width is None else width


def layer_inputs(config: Fields) -> tuple[Weight, ...]:
    """The table, and the projection of a token's embedding into its width; nothing without such inputs."""
    width = _width(config)
    if width == 0:
        return ()
    all_layers = config.integer("num_hidden_layers") * width
    joined = config.integer("hidden_size") * all_layers
    return (
        Weight("embedding", config.integer("vocab_size_per_layer_input", "vocab_size") * all_layers),
        Weight("mlp", joined, modules=(Module("per_layer_model_projection", joined),)),
        Weight("norm", width, ways=1),
    )


def layer_input(config: Fields) -> tuple[Weight, ...]:
    """What one layer has to take its input in: a gate, a projection and a norm."""
    width, hidden = _width(config), config.integer("hidden_size")
    if width == 0:
        return ()
    modules = (
        Module("per_layer_input_gate", hidden * width),
        Module("per_layer_projection", hidden * width),
    )
    return Weight("mlp", 2 * hidden * width, ways=1, modules=modules), Weight("norm", hidden, ways=1)
