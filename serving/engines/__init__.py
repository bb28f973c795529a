"""Every engine that a stack file can name: one file each, and a line here."""

from __future__ import annotations

from typing import Final

from serving.engines.engine import Engine
from serving.engines.vllm import VLLM
from sizing.choices import UnknownNameError

ENGINES: Final[dict[str, Engine]] = {engine.name: engine for engine in (VLLM,)}


def engine_of(name: str) -> Engine:
    """The engine of this name. Raises UnknownNameError."""
    try:
        return ENGINES[name]
    except KeyError:
        raise UnknownNameError("engine", name, ENGINES) from None
