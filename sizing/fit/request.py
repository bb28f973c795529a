"""What is asked: may this model run on this accelerator, split like this, with this engine?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sizing.fit.adapters import AdapterSlots
from sizing.hardware.accelerators import Accelerator
from sizing.hardware.machines import Machine
from sizing.models.models import Model

Engine = Literal["vllm", "sglang", "tgi", "triton"]


@dataclass(frozen=True)
class Measured:
    """Figures of a log, GiB per GPU, each instead of the constant or formula otherwise used.

    weights_gib: of one GPU's share; logs include what is kept for adapters, so that is left out.
    activation_gib: peak; in current logs it includes the estimate for CUDA graphs, so that is left out unless
    cuda_graph_gib is given too. kv_pool_gib replaces the whole sum.
    """

    usable_gib: float | None = None
    weights_gib: float | None = None
    activation_gib: float | None = None
    non_torch_gib: float | None = None
    cuda_graph_gib: float | None = None
    kv_pool_gib: float | None = None


@dataclass(frozen=True)
class TypicalRequest:
    """The request that concurrency is counted in: tokens of its prompt and of its reply."""

    prompt_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True)
class FitRequest:
    """One replica of a model on GPUs of one kind.

    engine_version: such as "0.32.0"; None is the newest with known constants. max_model_len: tokens of prompt
    and reply; None is the model's own maximum. quantization: precision or method to reach while loading; None
    serves the checkpoint as it is. kv_cache_dtype: "auto" keeps 16 bits, "fp8" and the like 8.
    adapters: what the engine keeps room for; None takes none.
    gpu_memory_utilization, max_num_batched_tokens, max_num_seqs: None is the engine's default.
    enforce_eager: as vLLM's flag; without CUDA graphs, blocks do not bound sequences of recurrent models.
    trust_remote_code: as the engine's flag; models that need it are refused where it is not set.
    itl_seconds: mean time between tokens that max_num_seqs must keep for the typical request.
    node_weights_gib: weights that lie on the node's own disk, as those of an OCI image do; others are on a
    volume.
    machine: where it is to run; adds checks of GPUs, disk, CPU and memory. pod_memory_gib, pod_cpus: what the
    pod asks of that machine; None is what the engine needs.
    """

    model: Model
    accelerator: Accelerator
    engine: Engine = "vllm"
    engine_version: str | None = None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    max_model_len: int | None = None
    quantization: str | None = None
    kv_cache_dtype: str = "auto"
    adapters: AdapterSlots | None = None
    gpu_memory_utilization: float | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    enforce_eager: bool = False
    trust_remote_code: bool = False
    measured: Measured = field(default_factory=Measured)
    typical_request: TypicalRequest | None = None
    itl_seconds: float | None = None
    node_weights_gib: float = 0.0
    machine: Machine | None = None
    pod_memory_gib: float | None = None
    pod_cpus: float | None = None
