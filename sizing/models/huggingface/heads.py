"""What stands above the last layer: an output layer over the vocabulary, a classifier, or nothing."""

from __future__ import annotations

from sizing.models.architecture import Module, Weight
from sizing.models.huggingface.fields import ConfigError, Fields

GENERATING = ("ForCausalLM", "ForConditionalGeneration", "ChatModel", "LMHeadModel")
EMBEDDING = ("ForTextEncoding", "EmbeddingModel")
REWARDING = ("RewardModel", "ForRewardModeling")
"""Ends of the names of classes, by which vLLM 0.32 tells what they do (vllm/config/model.py)."""

DEFAULT_LABELS = 2
"""`num_labels` of transformers where a file names none."""


def head(whole: Fields, text: Fields, tied: bool) -> Weight | None:
    """The weight above the last layer; None where there is none, or it is the embedding's.

    A classifier has a row for each label; vLLM takes the output layer from a model that only embeds. Raises
    ConfigError for a class that is not known, and for reward models, whose heads differ.
    """
    classes = whole.texts("architectures")
    name = classes[0] if classes else "ForCausalLM"
    hidden = text.integer("hidden_size")
    if name.endswith(GENERATING):
        parameters = text.integer("vocab_size") * hidden
        return None if tied else Weight("output", parameters, modules=(Module("lm_head", parameters),))
    if name.endswith("ForSequenceClassification"):
        return Weight("output", _labels(whole) * hidden)
    if name.endswith(EMBEDDING) or (name.endswith("Model") and not name.endswith(REWARDING)):
        return None
    raise ConfigError(
        f'{whole.place}: architectures has "{name}", whose head is not known: known are classes that end in '
        f"{', '.join(GENERATING)}, ForSequenceClassification and Model"
    )


def _labels(whole: Fields) -> int:
    named = whole.object("id2label")
    if named is not None and named.values:
        return len(named.values)
    count = whole.optional_integer("num_labels")
    return DEFAULT_LABELS if count is None else count
