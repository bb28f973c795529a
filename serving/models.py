"""Facts about models, by their Hugging Face id: what decides memory, parallelism and speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from infra.choices import UnknownNameError
from infra.tables import read_table


@dataclass(frozen=True)
class Model:
    """One model.

    parameters_billion, active_parameters_billion: in all, and used per token (they differ for experts).
    max_context: tokens, without rope scaling beyond the model's own configuration.
    checkpoint: precision of the weights in the repository.
    weights_gib: memory of one replica's weights over all its GPUs, by precision: bf16, fp8, int4, mxfp4.
    full_attention_layers: layers that keep keys and values for the whole context; None means all of them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    parameters_billion: float
    active_parameters_billion: float
    layers: int
    hidden_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_context: int
    checkpoint: str
    weights_gib: Mapping[str, float]
    as_of: date
    source: str
    full_attention_layers: int | None = None

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Key and value cache of one token in one replica, over all its GPUs, bytes.

        2 (key and value) x layers x kv_heads x head_dim x bytes_per_value. Layers that keep only a window or
        a recurrent state are not counted: their cost is per sequence, not per token.
        """
        layers = self.layers if self.full_attention_layers is None else self.full_attention_layers
        return 2 * layers * self.kv_heads * self.head_dim * bytes_per_value

    @property
    def download_gib(self) -> float:
        """What a start without a cache downloads and keeps on disk."""
        return self.weights_gib[self.checkpoint]


MODELS = read_table(Path(__file__).parent / "data" / "models.yaml", Model)


def model(name: str) -> Model:
    """The row called `name`. Raises UnknownNameError."""
    try:
        return MODELS[name]
    except KeyError:
        raise UnknownNameError("model", name, MODELS) from None
