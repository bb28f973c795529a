"""LoRA adapters: what --lora-modules names, and whether vLLM would load it.

The emulator computes with none of them: a reply is the model's, and a step takes as long as without. What it
keeps are the names, the order in the queue (--max-loras) and prefixes, which are an adapter's own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.engine.refusal import Refused
from sizing.fit.adapters import AdapterSlots

CONFIGURATION = "adapter_config.json"
FIELDS = {"name", "path", "base_model_name", "is_3d_lora_weight"}


@dataclass(frozen=True)
class Adapter:
    """name: what clients send as `model`. path: its folder. parent: the served name it belongs to."""

    name: str
    path: str
    parent: str


@dataclass(frozen=True)
class Adapters:
    """Those of one engine, and how many of them one step may compute with."""

    loaded: tuple[Adapter, ...]
    at_once: int

    @property
    def names(self) -> frozenset[str]:
        return frozenset(adapter.name for adapter in self.loaded)


def adapter_slots(flags: argparse.Namespace) -> AdapterSlots | None:
    """What the engine keeps memory for, whether an adapter is loaded or not; None without --enable-lora."""
    if flags.enable_lora is not True:
        return None
    rank = None if flags.max_lora_rank is None else int(flags.max_lora_rank)
    return AdapterSlots.given(flags.max_loras, rank)


def adapter_settings(flags: argparse.Namespace, served_names: Sequence[str]) -> Adapters | None:
    """The adapters that these flags load; None without --enable-lora. Raises Refused on what vLLM refuses."""
    modules = tuple(_modules(flags.lora_modules or [], served_names))
    kept = adapter_slots(flags)
    if kept is None:
        if modules:
            raise Refused("LoRA is not enabled. Use --enable-lora to enable LoRA.")
        return None
    if kept.slots < 1:
        raise Refused(f"max_loras must be at least 1, got {kept.slots}.")
    for adapter in modules:
        if adapter.name in served_names:
            raise Refused(f"The lora adapter '{adapter.name}' conflicts with a base model of that name.")
        _check(adapter, kept.rank)
    return Adapters(modules, kept.slots)


def _modules(values: Sequence[str], served_names: Sequence[str]) -> Iterator[Adapter]:
    """Each is `name=path` or a JSON object. An unknown base model counts as none, as in vLLM."""
    for value in values:
        if "=" in value and "," not in value:
            name, _, path = value.partition("=")
            yield Adapter(name, path, served_names[0])
            continue
        try:
            fields = json.loads(value)
        except json.JSONDecodeError:
            raise Refused(f"Invalid JSON format for --lora-modules: {value}") from None
        known = isinstance(fields, dict) and {"name", "path"} <= set(fields) <= FIELDS
        if not known or not all(isinstance(fields[key], str) for key in ("name", "path")):
            raise Refused(f"Invalid fields for --lora-modules: {value}")
        parent = fields.get("base_model_name")
        if not isinstance(parent, str) or parent not in served_names:
            parent = served_names[0]
        yield Adapter(fields["name"], fields["path"], parent)


def _check(adapter: Adapter, largest_rank: int) -> None:
    path = Path(adapter.path) / CONFIGURATION
    try:
        configuration = json.loads(path.read_bytes())
        rank = configuration["r"]
    except FileNotFoundError:
        raise Refused(
            f"Loading lora {adapter.name} failed: No adapter found for {adapter.path} (no {CONFIGURATION})"
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise Refused(f"{path}: no configuration of a LoRA adapter with its rank `r`.") from None
    if not isinstance(rank, int) or rank < 1:
        raise Refused(f"LoRA rank `r` must be a positive integer, got {rank}.")
    if rank > largest_rank:
        raise Refused(f"LoRA rank {rank} is greater than max_lora_rank {largest_rank}.")
