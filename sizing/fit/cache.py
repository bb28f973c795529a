"""The KV cache in blocks, as vLLM lays it out: layers of a kind in groups, all groups drawing on one pool.

A block holds one page of each layer of one group. Layers that keep everything, a window, or a state differ in
how many blocks a request needs, but not in the size of a block: groups have the same number of layers, padded
where the counts do not divide, and pages are made equal by giving smaller ones more tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from sizing.fit.release import Release
from sizing.models.architecture import AttentionCache, LatentCache, LayerCache, RecurrentState

SPARSE_EIGHT_BIT_BYTES = 656
"""vLLM's fp8_ds_mla: 512 values in 8 bits, four 32-bit scales, 64 rotary values in 16 bits."""


@dataclass(frozen=True)
class Rules:
    """What decides the layout beside the model.

    bytes_per_value: of a cached value. in_flight_tokens: scheduled but not settled, which a window must hold.
    """

    release: Release
    tensor_parallel: int
    bytes_per_value: float
    in_flight_tokens: int


@dataclass(frozen=True)
class Group:
    """Layers of one kind, `count` groups of them. block_tokens: tokens per block."""

    cache: LayerCache
    count: int
    block_tokens: int

    def blocks(self, context: int, rules: Rules) -> int:
        """Blocks that one request of this many tokens holds in these groups."""
        if isinstance(self.cache, RecurrentState):
            return self.count * rules.release.recurrent_blocks
        tokens, extra = context, 0
        if isinstance(self.cache, AttentionCache) and rules.release.window_groups:
            if self.cache.window is not None:
                tokens = min(self.cache.window - 1 + rules.in_flight_tokens, context)
                extra = 1  # a window need not begin where a block does
            elif self.cache.chunk is not None:
                tokens = min(self.cache.chunk + rules.in_flight_tokens, context)
        return self.count * (ceil(tokens / self.block_tokens) + extra)


@dataclass(frozen=True)
class Layout:
    """The cache of one pipeline stage on one GPU. block_bytes: of a block of any group."""

    block_bytes: int
    groups: tuple[Group, ...]
    rules: Rules

    def blocks(self, context: int) -> int:
        """Blocks that one request of this many tokens needs at most."""
        return sum(group.blocks(context, self.rules) for group in self.groups)

    @property
    def recurrent(self) -> bool:
        """Whether any layer keeps a state, rather than tokens."""
        return any(isinstance(group.cache, RecurrentState) for group in self.groups)

    @property
    def group_count(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def smallest_block_tokens(self) -> int:
        return min(group.block_tokens for group in self.groups)


def token_bytes(cache: AttentionCache | LatentCache, rules: Rules) -> int:
    """What one token takes in one layer on one GPU, bytes."""
    if isinstance(cache, AttentionCache):
        return round(cache.values_per_token(rules.tensor_parallel) * rules.bytes_per_value)
    width = ceil(cache.width / rules.release.latent_multiple) * rules.release.latent_multiple
    if cache.index_width == 0:
        return round(width * rules.bytes_per_value)
    return cache.index_bytes + (SPARSE_EIGHT_BIT_BYTES if rules.bytes_per_value == 1 else width * 2)


def layout(caches: Sequence[LayerCache], rules: Rules) -> Layout:
    """The layout of a stage whose layers keep `caches`. Raises ValueError if there is none."""
    if not caches:
        raise ValueError("a model without attention has no KV cache")
    counts = Counter(caches if rules.release.window_groups else [_as_full(cache) for cache in caches])
    attention = {
        cache: token_bytes(cache, rules) for cache in counts if not isinstance(cache, RecurrentState)
    }
    block_tokens = _block_tokens(counts, attention, rules)
    if all(cache in attention and _grows(cache) for cache in counts):
        # All layers keep everything: one group, however their shapes differ.
        page = sum(attention[cache] * count for cache, count in counts.items() if cache in attention)
        first = next(iter(counts))
        return Layout(page * block_tokens, (Group(first, 1, block_tokens),), rules)
    page = max(
        [size * block_tokens for size in attention.values()]
        + [cache.bytes_on_gpu(rules.tensor_parallel) for cache in counts if isinstance(cache, RecurrentState)]
    )
    size = _group_size(list(counts.values()), rules.release.group_slack)
    groups = tuple(
        Group(cache, ceil(count / size), _tokens_per_page(cache, attention, page, block_tokens))
        for cache, count in counts.items()
    )
    return Layout(page * size, groups, rules)


def _as_full(cache: LayerCache) -> LayerCache:
    if isinstance(cache, AttentionCache):
        return AttentionCache(cache.kv_heads, cache.head_dim, cache.value_dim)
    return cache


def _grows(cache: LayerCache) -> bool:
    return isinstance(cache, LatentCache) or (isinstance(cache, AttentionCache) and cache.grows)


def _block_tokens(
    counts: Counter[LayerCache], attention: dict[AttentionCache | LatentCache, int], rules: Rules
) -> int:
    """Tokens per block: as configured, or so many that a page of attention is no smaller than a state."""
    tokens = rules.release.block_tokens
    states = [
        cache.bytes_on_gpu(rules.tensor_parallel) for cache in counts if isinstance(cache, RecurrentState)
    ]
    if not states or not attention:
        return tokens
    return tokens * ceil(max(states) / (tokens * max(attention.values())))


def _tokens_per_page(
    cache: LayerCache, attention: dict[AttentionCache | LatentCache, int], page: int, block_tokens: int
) -> int:
    """A smaller page takes more tokens if it divides the common one, and is padded otherwise."""
    if isinstance(cache, RecurrentState):
        return block_tokens
    own = attention[cache] * block_tokens
    return block_tokens * (page // own) if page % own == 0 else block_tokens


def _group_size(counts: Sequence[int], slack: float) -> int:
    """Layers per group: the smallest count, or the largest where all are close to it."""
    smallest, largest = min(counts), max(counts)
    return largest if largest < smallest * slack else smallest
