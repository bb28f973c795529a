from __future__ import annotations

import pytest

from sizing.models.huggingface import ConfigError, architecture
from tests.sizing.models.huggingface.test_read import PLAIN


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({}, 100),
        ({"architectures": ["LlamaForCausalLM"]}, 100),
        ({"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True}, 0),
        ({"architectures": ["LlamaModel"]}, 0),
        ({"architectures": ["LlamaForSequenceClassification"]}, 2),
        ({"architectures": ["LlamaForSequenceClassification"], "num_labels": 7}, 7),
        ({"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "no"}, "num_labels": 7}, 1),
    ],
)
def test_rows_above_the_last_layer(fields: dict[str, object], rows: int):
    """64 wide, over a vocabulary of 100: embedding and layers are those of a model with nothing above."""
    without = architecture({**PLAIN, "tie_word_embeddings": True}, "x").parameters
    assert architecture({**PLAIN, **fields}, "x").parameters == without + rows * 64


def test_heads_that_are_not_known_are_refused():
    with pytest.raises(
        ConfigError, match=r'x: architectures has "Qwen2ForRewardModel", whose head is not known'
    ):
        architecture({**PLAIN, "architectures": ["Qwen2ForRewardModel"]}, "x")
