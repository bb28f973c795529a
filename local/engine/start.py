"""The stages of a start, with the times they take in a cloud."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import ConfigDict, TypeAdapter

from local.engine.settings import Engine


@dataclass(frozen=True)
class StageTimes:
    """data/start_stages.yaml."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    source: str
    process_seconds: float
    weights_gib_per_second: float
    compile_seconds_per_layer: float
    graph_seconds_per_layer: float


@dataclass(frozen=True)
class Stage:
    name: str
    seconds: float


@cache
def stage_times() -> StageTimes:
    path = Path(__file__).parent / "data" / "start_stages.yaml"
    return TypeAdapter(StageTimes).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))


def start_stages(engine: Engine) -> Iterator[Stage]:
    """Stages in order, unscaled. The checkpoint is read as it is stored, whatever it is quantised to.

    Eager mode neither compiles nor captures graphs.
    """
    times = stage_times()
    yield Stage("process and device set-up", times.process_seconds)
    yield Stage("loading weights", engine.model.download_gib / times.weights_gib_per_second)
    if engine.graphs:
        yield Stage("torch.compile", engine.model.layers * times.compile_seconds_per_layer)
        yield Stage("CUDA graph capture", engine.model.layers * times.graph_seconds_per_layer)
