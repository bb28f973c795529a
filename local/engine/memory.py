"""Does the model fit, and how many KV blocks are left: vLLM's answers when it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from local.engine.refusal import Refused
from sizing.fit.concurrency import Pool, pool_of
from sizing.fit.memory import Memory, Setting, memory_by_stage, setting
from sizing.fit.request import FitRequest


@dataclass(frozen=True)
class Placement:
    """The engine on its GPUs. memory: the sum on each of them; pool: its blocks."""

    chosen: Setting
    memory: Memory
    pool: Pool

    @property
    def block_size(self) -> int:
        return self.chosen.release.block_tokens


def place(request: FitRequest, block_size: int, graphs: bool) -> Placement:
    """What the engine takes of each GPU. graphs: not with eager mode. Raises Refused on an unknown type."""
    try:
        chosen = setting(request)
        used = replace(
            chosen.release,
            block_tokens=block_size,
            graphs_deducted=chosen.release.graphs_deducted and graphs,
        )
        chosen = replace(chosen, release=used)
        memory = memory_by_stage(chosen)[0]
        return Placement(chosen, memory, pool_of(chosen, memory))
    except ValueError as error:
        raise Refused(str(error)) from None


def kv_blocks(placement: Placement, max_model_len: int) -> int:
    """Blocks in the pool. Raises Refused, as vLLM does, if one request of that length does not fit.

    Of a model whose layers share the pool in several groups, the blocks that as many tokens as the engine
    reports would take: requests of the emulator hold blocks of one kind.
    """
    memory, pool = placement.memory, placement.pool
    if memory.pool <= 0:
        raise Refused(
            "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
            f"initializing the engine. {memory.weights:.2f} GiB of weights go on each GPU, which has "
            f"{memory.usable:.2f} GiB."
        )
    if pool.concurrency(max_model_len) < 1:
        raise Refused(
            f"To serve at least one request with the model's max seq len ({max_model_len}), "
            f"({pool.needed_gib(max_model_len):.2f} GiB KV cache is needed, which is larger than the "
            f"available KV cache memory ({memory.pool:.2f} GiB). Based on the available memory, the "
            f"estimated maximum model length is {pool.longest(max_model_len)}. Try increasing "
            "`gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine."
        )
    if pool.layout.group_count == 1:
        return pool.blocks
    return int(pool.concurrency(max_model_len) * max_model_len) // placement.block_size


def longest_context(placement: Placement, longest: int) -> int:
    """The longest request that the pool holds, at most `longest` tokens. Raises Refused if it holds none."""
    kv_blocks(placement, 1)
    return placement.pool.longest(longest)
