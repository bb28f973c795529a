"""Which layers see the whole context, which a window or a chunk of it, and which only a state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sizing.models.huggingface.families import Family
from sizing.models.huggingface.fields import ConfigError, Fields


@dataclass(frozen=True)
class LayerKind:
    """window, chunk: tokens, where the kind has one. shares_cache: reads an earlier layer's cache.
    index: chooses tokens itself where the model has sparse attention, not taking an earlier layer's."""

    kind: Literal["full", "window", "chunk", "linear"]
    window: int | None = None
    chunk: int | None = None
    shares_cache: bool = False
    index: bool = True


MOST_LAYERS = 1000
"""The deepest model of the table has 126."""

FULL = LayerKind("full")
FULL_NAMES = ("full_attention", "attention", "indexed_attention", "deepseek_sparse_attention")
"""Names in `layer_types`, old ones too, of layers that keep the whole context, with an index or without."""

LINEAR_LAYER = LayerKind("linear")


def layer_kinds(config: Fields, family: Family) -> tuple[LayerKind, ...]:
    """The kind of each layer, from `layer_types` or from the habits of the family.

    Raises ConfigError if the file contradicts itself.
    """
    count = config.integer("num_hidden_layers")
    if count > MOST_LAYERS:
        raise ConfigError(f"{config.place}: num_hidden_layers is {count}, at most {MOST_LAYERS} are believed")
    kinds = tuple(_named(config, count) if config.has("layer_types") else _by_habit(config, family, count))
    if family.windows == "pattern, last full":
        kinds = (*kinds[:-1], FULL)
    if family.attention == "latent" and config.has("index_topk"):
        indexed = _indexed(config, count)
        kinds = tuple(replace(kind, index=own) for kind, own in zip(kinds, indexed, strict=True))
    shared = config.optional_integer("num_kv_shared_layers")
    if shared is None or shared == 0:
        return kinds
    own = count - shared
    return (*kinds[:own], *(replace(kind, shares_cache=True) for kind in kinds[own:]))


def _indexed(config: Fields, count: int) -> tuple[bool, ...]:
    """Which layers of sparse attention choose tokens themselves: `indexer_types`, a pattern of F and S, or
    every `index_topk_freq`-th one (GlmMoeDsaConfig, vllm/model_executor/models/deepseek_v2.py)."""
    listed = config.values.get("indexer_types")
    if listed is None:
        listed = config.values.get("index_topk_pattern")
    if isinstance(listed, str):
        listed = [{"F": "full", "S": "shared"}.get(letter, letter) for letter in listed]
    if listed is not None:
        if not isinstance(listed, list) or len(listed) < count or set(listed) - {"full", "shared"}:
            raise ConfigError(
                f"{config.place}: indexer_types and index_topk_pattern must say full (F) or shared (S) of "
                f"each of {count} layers"
            )
        return tuple(one == "full" for one in listed[:count])
    frequency, offset = (
        config.optional_integer("index_topk_freq"),
        config.optional_integer("index_skip_topk_offset"),
    )
    if frequency is None or frequency < 2:
        return (True,) * count
    skipped = 2 if offset is None else offset
    return tuple(max(index - skipped + 1, 0) % frequency == 0 for index in range(count))


def _named(config: Fields, count: int) -> Iterator[LayerKind]:
    listed = config.texts("layer_types")
    if len(listed) < count:
        raise ConfigError(f"{config.place}: layer_types names {len(listed)} layers of {count}")
    for name in listed[:count]:
        if name in FULL_NAMES:
            yield FULL
        elif name == "sliding_attention":
            yield LayerKind("window", window=config.integer("sliding_window"))
        elif name == "chunked_attention":
            yield LayerKind("chunk", chunk=config.integer("attention_chunk_size"))
        elif name in ("linear_attention", "mamba"):
            yield LINEAR_LAYER
        else:
            raise ConfigError(
                f'{config.place}: layer_types has "{name}"; known are full_attention, sliding_attention, '
                "chunked_attention, linear_attention and indexed_attention"
            )


def _by_habit(config: Fields, family: Family, count: int) -> Iterator[LayerKind]:
    """As the family's class in transformers derives `layer_types`, and as vLLM reads `sliding_window` of a
    class that has none: a window in every layer (`create_engine_config` of vllm/engine/arg_utils.py)."""
    if family.windows == "interval":
        interval = config.integer("full_attention_interval")
        yield from (FULL if (index + 1) % interval == 0 else LINEAR_LAYER for index in range(count))
        return
    if family.windows == "chunks":
        yield from _chunks(config, count)
        return
    size = config.optional_integer("sliding_window")
    if size is None or size == 0 or not config.flag("use_sliding_window", True):
        yield from (FULL for _ in range(count))
        return
    windowed = _windowed(config, family, count)
    yield from (LayerKind("window", window=size) if windowed(index) else FULL for index in range(count))


def _windowed(config: Fields, family: Family, count: int) -> Callable[[int], bool]:
    """Which layers have a window, by their index from 0."""
    first = config.optional_integer("max_window_layers")
    match family.windows:
        case "alternate":
            return lambda index: index % 2 == 0
        case "pattern" | "pattern, last full":
            pattern = _pattern(config, family)
            # EXAONE-4's own code, which reads such a text, leaves the last layer full whatever it says.
            last = count - 1 if isinstance(config.values.get("sliding_window_pattern"), str) else count
            return lambda index: index != last and pattern[index % len(pattern)] == "L"
        case "last":  # Qwen keeps the first layers full
            return lambda index: first is None or index >= first
        case "first alternate":
            return lambda index: index % 2 == 0 and (first is None or index < first)
        case "without positions":
            rotary = _rotary(config, count)
            return lambda index: not rotary[index]
        case _:
            return lambda _: True


def _pattern(config: Fields, family: Family) -> str:
    """One period of the layers: L for a window, G for the whole context. A number is the length of a period
    whose last layer is full."""
    written = config.values.get("sliding_window_pattern")
    if isinstance(written, str):
        if not written or set(written) - {"L", "G"}:
            raise ConfigError(
                f"{config.place}: sliding_window_pattern is {written!r}, expected a whole number or a text "
                "of L (a window) and G (the whole context)"
            )
        return written
    period = config.optional_integer("sliding_window_pattern")
    if period is None:
        period = family.window_pattern
    return "G" if period == 0 else "L" * (period - 1) + "G"


def _chunks(config: Fields, count: int) -> Iterator[LayerKind]:
    """Llama-4: layers with rotary positions attend within chunks; every fourth has none and sees all."""
    if config.optional_integer("attention_chunk_size") is None:
        yield from (FULL for _ in range(count))
        return
    chunk = LayerKind("chunk", chunk=config.integer("attention_chunk_size"))
    yield from (chunk if rotary else FULL for rotary in _rotary(config, count))


def _rotary(config: Fields, count: int) -> Sequence[bool]:
    """Whether each layer has rotary positions: `no_rope_layers`, whose 1 means that it has, or all but every
    fourth."""
    listed = config.integers("no_rope_layers")
    if not listed:
        interval = config.integer("no_rope_layer_interval")
        return tuple((index + 1) % interval != 0 for index in range(count))
    if len(listed) < count:
        raise ConfigError(f"{config.place}: no_rope_layers names {len(listed)} layers of {count}")
    return tuple(value != 0 for value in listed)
