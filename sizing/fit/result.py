"""The answer: what one replica takes of each of its GPUs, and how many requests are left room for."""

from __future__ import annotations

from dataclasses import dataclass

JSON_KEYS = (
    "fits", "reason", "usable_gib", "requested_gib", "weights_gib", "adapters_gib", "overhead_gib",
    "kv_pool_gib", "kv_bytes_per_token", "kv_tokens", "max_concurrency", "max_context", "max_num_seqs",
    "uncertainty_pct",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of the sum: what, how many GiB of one GPU (None if it is no memory), and where from."""

    label: str
    gib: float | None
    source: str


@dataclass(frozen=True)
class Fit:
    """Memory is GiB per GPU; tokens and requests are of one replica.

    reason: why it does not fit, and what would; empty if it fits. adapters_gib: kept for adapters,
    whether any is loaded or not. overhead_gib: what is neither weights nor adapters nor cache.
    kv_bytes_per_token: growth per token on one GPU, of the layers that keep the whole context.
    kv_tokens: as the engine reports it at start. max_concurrency: requests of the full context at once.
    max_context: longest single request that the pool holds, at most the model's own. max_num_seqs: requests
    to compute at once. most_sequences: above which the engine does not start; None where nothing bounds them.
    uncertainty_pct: of kv_pool_gib, from the spread of the constants that were used.
    warnings: what works but should be known. lines: the sum, for people.
    """

    fits: bool
    reason: str
    usable_gib: float
    requested_gib: float
    weights_gib: float
    adapters_gib: float
    overhead_gib: float
    kv_pool_gib: float
    kv_bytes_per_token: int
    kv_tokens: int
    max_concurrency: float
    max_context: int
    max_num_seqs: int
    most_sequences: int | None
    uncertainty_pct: float
    warnings: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The keys that scripts may rely on."""
        return {key: getattr(self, key) for key in JSON_KEYS}
