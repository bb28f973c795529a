"""What fits on a GPU: memory of weights, of everything beside them, and what is left for the KV cache.

    pool = usable memory x utilisation - weights - memory outside torch - peak activation - CUDA graphs

per GPU. The overheads are constants measured on other machines (data/memory.yaml), so a pool is right to a
few per cent, not to the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import ConfigDict, TypeAdapter

from infra.accelerators import Accelerator
from serving.architecture import BYTES_PER_VALUE
from serving.models import Model

GIB = 1024**3


@dataclass(frozen=True)
class Overheads:
    """data/memory.yaml: memory beside weights and cache, GiB per GPU.

    outside_torch: by tensor parallel size. activation: peak with `activation_at` batched tokens, by the
    model's family (start of the repository name) or kind (dense, experts). smallest_activation: of the
    sampler's warm-up.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    source: str
    outside_torch: dict[int, float]
    activation: dict[str, float]
    activation_at: int
    smallest_activation: float
    cuda_graphs: float


@cache
def overheads() -> Overheads:
    path = Path(__file__).parent / "data" / "memory.yaml"
    return TypeAdapter(Overheads).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Placement:
    """What is to be placed on each GPU.

    weights_gib: of the whole model; kv_bytes_per_value: 2, or 1 for an 8-bit cache; graphs: not with eager
    mode.
    """

    model: Model
    accelerator: Accelerator
    weights_gib: float
    tensor_parallel: int
    utilisation: float
    step_tokens: int
    block_size: int
    kv_bytes_per_value: int
    graphs: bool

    @property
    def block_bytes(self) -> int:
        """One KV block on one GPU. Beyond kv_heads GPUs the heads are copied, not divided."""
        sharing = min(self.tensor_parallel, self.model.kv_heads)
        return self.model.kv_bytes_per_token(self.kv_bytes_per_value) * self.block_size // sharing


def activation_gib(model: Model, step_tokens: int) -> float:
    """Peak activation of a step, which grows with the tokens in it."""
    constants = overheads()
    repository = model.name.rpartition("/")[2].lower()
    experts = model.active_parameters_billion < model.parameters_billion
    kind = "experts" if experts else "dense"
    family = next((name for name in constants.activation if repository.startswith(name)), kind)
    if experts and family in ("qwen", "llama"):
        family = kind
    peak = constants.activation[family] * step_tokens / constants.activation_at
    return max(peak, constants.smallest_activation)


def kv_pool_gib(placement: Placement) -> float:
    """Memory for KV blocks on each GPU, GiB; negative when not even the weights fit."""
    constants = overheads()
    sizes = [size for size in constants.outside_torch if size <= placement.tensor_parallel]
    return (
        placement.accelerator.usable_gib * placement.utilisation
        - placement.weights_gib / placement.tensor_parallel
        - constants.outside_torch[max(sizes)]
        - activation_gib(placement.model, placement.step_tokens)
        - (constants.cuda_graphs if placement.graphs else 0.0)
    )


def weights_gib(model: Model, precision: str) -> float:
    """Memory of one replica's weights, GiB: the table's figure, else parameters times bytes."""
    known = model.weights_gib.get(precision)
    if known is not None:
        return known
    return model.parameters_billion * BYTES_PER_VALUE[precision] * 1e9 / GIB
