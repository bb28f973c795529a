"""Does the model fit, and how many KV blocks are left: vLLM's answers when it starts."""

from __future__ import annotations

from local.engine.refusal import Refused
from serving.memory import GIB, Placement


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
