"""Parameters of a tower for sound: small Gemma-4 models have one."""

from __future__ import annotations

from sizing.models.huggingface.fields import ConfigError, Fields

SHAPE = {
    "hidden_size": 1024,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "subsampling_conv_channels": [128, 32],
    "conv_kernel_size": 5,
    "output_proj_dims": 1536,
}
"""The one shape that is published, which is also what `Gemma4AudioConfig` of transformers 5.19 fills in."""

PARAMETERS, OUTPUT = 304_824_608, 1536
"""Of a tower of this shape (`Gemma4AudioModel` of transformers 5.19), and the width of what comes out."""


def audio_parameters(whole: Fields, text_hidden: int) -> int:
    """Parameters of the tower and of the matrix into the text model's width; 0 for a model without.

    Raises ConfigError for a tower of another type or shape.
    """
    audio = whole.object("audio_config")
    if audio is None:
        return 0
    if whole.text("model_type") != "gemma4":
        raise ConfigError(f"{audio.place} is not supported: towers for sound are counted for gemma4 only")
    for name, value in SHAPE.items():
        if audio.values.get(name, value) != value:
            raise ConfigError(
                f"{audio.place}: {name} is {audio.values[name]!r}, and only towers with {value!r} are counted"
            )
    return PARAMETERS + OUTPUT * text_hidden
