"""Does the model fit, and how many KV blocks are left: the arithmetic that vLLM does when it starts.

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
from local.engine.refusal import Refused
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


def kv_blocks(placement: Placement, max_model_len: int, pool_gib: float) -> int:
    """Blocks in the pool. Raises Refused, as vLLM does, if one request of that length does not fit."""
    if pool_gib <= 0:
        weights = placement.weights_gib / placement.tensor_parallel
        raise Refused(
            "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
            f"initializing the engine. {weights:.2f} GiB of weights go on each GPU, which has "
            f"{placement.accelerator.usable_gib:.2f} GiB."
        )
    blocks = int(pool_gib * GIB) // placement.block_bytes
    needed = -(-max_model_len // placement.block_size)
    if needed > blocks:
        needed_gib = needed * placement.block_bytes / GIB
        raise Refused(
            f"To serve at least one request with the model's max seq len ({max_model_len}), "
            f"({needed_gib:.2f} GiB KV cache is needed, which is larger than the available KV cache memory "
            f"({pool_gib:.2f} GiB). Based on the available memory, the estimated maximum model length is "
            f"{blocks * placement.block_size}. Try increasing `gpu_memory_utilization` or decreasing "
            "`max_model_len` when initializing the engine."
        )
    return blocks


def longest_context(placement: Placement, pool_gib: float, longest: int) -> int:
    """The longest request that the pool holds, at most `longest` tokens. Raises Refused if it holds none."""
    return min(longest, kv_blocks(placement, 1, pool_gib) * placement.block_size)
