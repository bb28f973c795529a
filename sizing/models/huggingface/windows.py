"""Which layers see the whole context, which a window or a chunk of it, and which only a state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sizing.models.huggingface.families import Family
from sizing.models.huggingface.fields import ConfigError, Fields


@dataclass(frozen=True)
class LayerKind:
    """window, chunk: tokens, where the kind has one. shares_cache: reads an earlier layer's cache."""

    kind: Literal["full", "window", "chunk", "linear"]
    window: int | None = None
    chunk: int | None = None
    shares_cache: bool = False


MOST_LAYERS = 1000
"""The deepest model of the table has 126."""

FULL = LayerKind("full")
LINEAR_LAYER = LayerKind("linear")


def layer_kinds(config: Fields, family: Family) -> tuple[LayerKind, ...]:
    """The kind of each layer, from `layer_types` or from the habits of the family.

    Raises ConfigError if the file contradicts itself.
    """
    count = config.integer("num_hidden_layers")
    if count > MOST_LAYERS:
        raise ConfigError(f"{config.place}: num_hidden_layers is {count}, at most {MOST_LAYERS} are believed")
    kinds = tuple(_named(config, count) if config.has("layer_types") else _by_habit(config, family, count))
    shared = config.optional_integer("num_kv_shared_layers")
    if shared is None or shared == 0:
        return kinds
    own = count - shared
    return (*kinds[:own], *(LayerKind(kind.kind, kind.window, kind.chunk, True) for kind in kinds[own:]))


def _named(config: Fields, count: int) -> Iterator[LayerKind]:
    listed = config.texts("layer_types")
    if len(listed) < count:
        raise ConfigError(f"{config.place}: layer_types names {len(listed)} layers of {count}")
    for name in listed[:count]:
        if name in ("full_attention", "deepseek_sparse_attention"):
            yield FULL
        elif name == "sliding_attention":
            yield LayerKind("window", window=config.integer("sliding_window"))
        elif name == "chunked_attention":
            yield LayerKind("chunk", chunk=config.integer("attention_chunk_size"))
        elif name == "linear_attention":
            yield LINEAR_LAYER
        else:
            raise ConfigError(
                f'{config.place}: layer_types has "{name}"; known are full_attention, sliding_attention, '
                "chunked_attention and linear_attention"
            )


def _by_habit(config: Fields, family: Family, count: int) -> Iterator[LayerKind]:
    if family.windows == "interval":
        interval = config.integer("full_attention_interval")
        yield from (FULL if (index + 1) % interval == 0 else LINEAR_LAYER for index in range(count))
        return
    if family.windows == "chunks" and config.has("attention_chunk_size"):
        yield from _chunks(config, count)
        return
    size = config.optional_integer("sliding_window")
    if size is None or size == 0 or not config.flag("use_sliding_window", family.windows != "last"):
        yield from (FULL for _ in range(count))
        return
    window = LayerKind("window", window=size)
    pattern = config.optional_integer("sliding_window_pattern") if family.windows == "pattern" else None
    period = family.window_pattern if pattern is None else pattern
    # Qwen keeps the first layers full.
    first = config.optional_integer("max_window_layers")
    full_before = 0 if first is None else first
    for index in range(count):
        windowed = {
            "none": False,
            "all": True,
            "alternate": index % 2 == 0,
            "pattern": period > 0 and (index + 1) % period != 0,
            "last": index >= full_before,
            "chunks": False,
        }[family.windows]
        yield window if windowed else FULL


def _chunks(config: Fields, count: int) -> Iterator[LayerKind]:
    """Llama-4: layers with rotary positions attend within chunks; every fourth has none and sees all."""
    chunk = LayerKind("chunk", chunk=config.integer("attention_chunk_size"))
    rotary = config.integers("no_rope_layers")
    for index in range(count):
        chunked = rotary[index] != 0 if len(rotary) == count else (index + 1) % 4 != 0
        yield chunk if chunked else FULL
