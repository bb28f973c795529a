"""How many tokens and requests the pool holds, and how many requests to compute at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from sizing.capacity.limits import default_running
from sizing.capacity.steps import ROOM_ABOVE_BATCH, batch_at
from sizing.capacity.timing import step_time
from sizing.fit.cache import Layout, Rules, layout, token_bytes
from sizing.fit.memory import Memory, Setting
from sizing.fit.request import FitRequest, TypicalRequest
from sizing.models.weights import GIB

USUAL_REQUEST = TypicalRequest(prompt_tokens=2000, output_tokens=300)
"""What concurrency is counted in where nothing is named: the shape of published throughput figures."""


@dataclass(frozen=True)
class Pool:
    """The blocks of one stage, and how requests use them."""

    layout: Layout
    blocks: int

    def concurrency(self, context: int) -> float:
        """Requests of this many tokens that the pool holds at once."""
        return self.blocks / self.layout.blocks(context)

    def longest(self, at_most: int) -> int:
        """The longest single request that fits, at most so many tokens; 0 if none does.

        By bisection: blocks never fall with the length.
        """
        if self.layout.blocks(at_most) <= self.blocks:
            return at_most
        low, high = 0, at_most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.layout.blocks(middle) <= self.blocks else (low, middle)
        return low

    def needed_gib(self, context: int) -> float:
        """Memory of the blocks that one request of this many tokens takes."""
        return self.layout.blocks(context) * self.layout.block_bytes / GIB


def pool_of(chosen: Setting, memory: Memory) -> Pool:
    """The pool of one stage. Raises ValueError for a model without a KV cache."""
    stage = memory.stage
    layers = chosen.request.model.architecture.layers[stage.first_layer : stage.first_layer + stage.layers]
    found = layout([layer.cache for layer in layers if layer.cache is not None], rules(chosen))
    return Pool(found, max(0, int(memory.pool * GIB)) // found.block_bytes)


def rules(chosen: Setting) -> Rules:
    return Rules(
        chosen.release,
        max(chosen.request.tensor_parallel, 1),
        chosen.bytes_per_value,
        chosen.in_flight_tokens,
    )


def growth_per_token(chosen: Setting) -> int:
    """Bytes that each further token of a long context adds on one GPU of the fullest stage."""
    used = rules(chosen)
    per_layer = [token_bytes(cache, used) for cache in chosen.request.model.architecture.grown]
    return sum(per_layer) // max(chosen.request.pipeline_parallel, 1)


def reported_tokens(chosen: Setting, pool: Pool) -> int:
    """The number in the engine's log at start."""
    if chosen.release.tokens_reported == "requests":
        return int(pool.concurrency(chosen.context) * chosen.context)
    return pool.blocks // pool.layout.group_count * pool.layout.smallest_block_tokens


def requests_at_once(chosen: Setting, pools: Sequence[Pool]) -> int:
    """For --max-num-seqs: the engine's default, or fewer if the pool or the time between tokens says so."""
    request = chosen.request
    if request.max_num_seqs is not None:
        return request.max_num_seqs
    typical = USUAL_REQUEST if request.typical_request is None else request.typical_request
    held = min(pool.concurrency(min(typical.tokens, chosen.context)) for pool in pools)
    bounds = [float(default_running(request.accelerator)), held]
    if request.itl_seconds is not None:
        bounds.append(ROOM_ABOVE_BATCH * latency_batch(request, chosen, request.itl_seconds))
    return max(1, floor(min(bounds))) if held >= 1 else 0


def most_sequences(chosen: Setting, pools: Sequence[Pool]) -> int | None:
    """Sequences at once above which vLLM refuses to start: each needs a block of its own for the state of
    recurrent layers when CUDA graphs are captured (`has_mamba_layers` in vllm/config/compilation.py of 0.32).
    None for a model without such layers, in eager mode, and for engines that bound nothing.
    """
    if chosen.request.enforce_eager or not chosen.release.blocks_bound_sequences:
        return None
    bounded = [pool.blocks for pool in pools if pool.layout.recurrent]
    return min(bounded) if bounded else None


def latency_batch(request: FitRequest, chosen: Setting, itl_seconds: float) -> float:
    """The batch of typical requests that keeps this mean time between tokens."""
    timing = step_time(
        request.model, request.accelerator, chosen.quantization.precision, request.tensor_parallel
    )
    typical = USUAL_REQUEST if request.typical_request is None else request.typical_request
    return batch_at(timing, itl_seconds, typical)
