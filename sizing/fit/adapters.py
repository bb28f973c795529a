"""GPU memory that vLLM keeps for LoRA adapters, whether any is loaded or not.

Room for every slot is allocated when the model is loaded, and counts as part of it in the log ("Model loading
took"). A linear layer of i inputs and o outputs gets, per slot, a matrix A of rank x i for each part that is
stacked in it, and matrices B of o x rank in all, in the type that the model computes in:

    bytes = slots x rank x (parts x i + o) x 2

Under tensor parallelism A is whole on each GPU and B divided in a layer that is divided by outputs, the
reverse in one that is divided by inputs. Both are whole in layers that are copied, and for embeddings and
output layer although those are divided. Each expert has matrices of its own. Source: `create_lora_weights` of
the classes in vllm/lora/layers, and `LoRAModelManager._create_lora_modules` (vllm/lora/model_manager.py), of
vLLM 0.32.0. Not counted: indices of the kernels, 48 bytes per token of a step (vllm/lora/punica_wrapper).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from sizing.models.architecture import Architecture, LinearLayer, Quantization
from sizing.models.weights import GIB, PADDED_HIDDEN, PADDED_WIDTH, SIXTEEN_BIT_BYTES, Stage, round_up
from sizing.tables import read_data

LORA_RANKS: tuple[int, ...] = tuple(
    read_data(Path(__file__).parent / "data" / "lora_ranks.yaml")["lora_ranks"]
)

DEFAULT_SLOTS, DEFAULT_RANK = 1, 16
"""What vLLM keeps room for where nothing is said (vllm/config/lora.py)."""

LARGEST_VOCABULARY = 258_048
"""vllm/lora/layers/logits_processor.py refuses a larger one where adapters may change the output layer."""


@dataclass(frozen=True)
class AdapterSlots:
    """What an engine keeps room for. slots: adapters in one step (--max-loras). rank: --max-lora-rank."""

    slots: int
    rank: int

    @classmethod
    def given(cls, slots: int | None, rank: int | None) -> AdapterSlots:
        """What these options ask for; of those left out, the engine's default."""
        return cls(DEFAULT_SLOTS if slots is None else slots, DEFAULT_RANK if rank is None else rank)

    @property
    def text(self) -> str:
        return f"{self.slots} adapter{'s' if self.slots > 1 else ''} of rank {self.rank}"


def slots_for(ranks: Sequence[int], allocated: Sequence[int]) -> AdapterSlots | None:
    """A slot for each of these adapters, at the smallest rank that the engine allocates and all fit."""
    if not ranks:
        return None
    # Each may be in a step together with all others: else one waits until the requests of another end.
    return AdapterSlots(len(ranks), min(rank for rank in allocated if rank >= max(ranks)))


def refusals(architecture: Architecture) -> Iterable[str]:
    """Why an engine would not start with adapters of this model."""
    support = architecture.adapters
    if support.refusal:
        yield support.refusal
    elif support.output is not None and architecture.vocabulary > LARGEST_VOCABULARY:
        yield (
            f"the vocabulary of {architecture.vocabulary} entries is too large for them: vLLM takes at most "
            f"{LARGEST_VOCABULARY}"
        )


def adapters_gib(
    architecture: Architecture,
    quantization: Quantization,
    kept: AdapterSlots | None,
    tensor_parallel: int,
    stage: Stage,
) -> float:
    """What is kept on each GPU of a stage, GiB; 0 without adapters."""
    if kept is None:
        return 0.0
    padded = quantization.precision == "mxfp4"
    width = sum(_values(layer, tensor_parallel, padded) for layer in _linear_layers(architecture, stage))
    return kept.slots * kept.rank * width * SIXTEEN_BIT_BYTES / GIB


def _linear_layers(architecture: Architecture, stage: Stage) -> Iterable[LinearLayer]:
    """Those of a stage. The last stage has a copy of embeddings that serve as output layer."""
    for layer in architecture.layers[stage.first_layer : stage.first_layer + stage.layers]:
        yield from layer.linear
    support = architecture.adapters
    tied = all(weight.component != "output" for weight in architecture.outer)
    if support.input is not None and (stage.first or (stage.last and tied)):
        yield support.input
    if support.output is not None and stage.last:
        yield support.output


def _values(layer: LinearLayer, tensor_parallel: int, padded: bool) -> int:
    """Values on each GPU per slot and rank. padded: as kernels for experts in 4-bit floats are."""
    inputs, outputs = layer.inputs, layer.outputs - layer.head_outputs
    if layer.divided == "inputs":
        inputs = ceil(inputs / tensor_parallel)
    elif layer.divided == "outputs":
        outputs = ceil(outputs / tensor_parallel)
    if padded and layer.experts > 1:
        if layer.divided == "inputs":
            inputs, outputs = round_up(inputs, PADDED_WIDTH), round_up(outputs, PADDED_HIDDEN)
        else:
            inputs, outputs = round_up(inputs, PADDED_HIDDEN), 2 * round_up(outputs // 2, PADDED_WIDTH)
    heads = max(1, ceil(layer.heads / tensor_parallel))
    return layer.experts * (layer.parts * inputs + outputs + layer.head_outputs // layer.heads * heads)
