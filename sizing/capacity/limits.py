"""How much one step may hold: vLLM's defaults by GPU, and the batch that the memory allows."""

from __future__ import annotations

from sizing.hardware.accelerators import Accelerator

LARGE_GPU_GIB = 70
LARGEST_GPU_GIB = 160


def is_a100(gpu: Accelerator) -> bool:
    return "a100" in gpu.name


def default_step_tokens(gpu: Accelerator) -> int:
    """--max-num-batched-tokens of `vllm serve` where it is not given (vLLM 0.32,
    EngineArgs.get_batch_defaults).

    By total memory of the GPU; the A100 is left at the small value because a larger one made it slower.
    """
    if gpu.usable_gib >= LARGEST_GPU_GIB:
        return 16384
    return 8192 if gpu.usable_gib >= LARGE_GPU_GIB and not is_a100(gpu) else 2048


def default_running(gpu: Accelerator) -> int:
    """--max-num-seqs of `vllm serve` where it is not given (same source)."""
    return 1024 if gpu.usable_gib >= LARGE_GPU_GIB and not is_a100(gpu) else 256
