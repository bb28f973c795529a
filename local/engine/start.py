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

COMPILATION = "torch.compile"


@dataclass(frozen=True)
class StageTimes:
    """data/start_stages.yaml."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    source: str
    process_seconds: float
    weights_gib_per_second: float
    compile_seconds_per_layer: float
    compiled_seconds_per_layer: float
    graph_seconds_per_layer: float


@dataclass(frozen=True)
class Stage:
    """A part of a start. seconds: in a cloud. line: what vLLM logs at its end, with {seconds} in it."""

    name: str
    seconds: float
    line: str


@cache
def stage_times() -> StageTimes:
    path = Path(__file__).parent / "data" / "start_stages.yaml"
    return TypeAdapter(StageTimes).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))


def start_stages(engine: Engine, compiled: bool) -> Iterator[Stage]:
    """Stages in order, unscaled. The checkpoint is read as it is stored, whatever it is quantised to.

    compiled: whether the code is read from a cache. Eager mode neither compiles nor captures graphs. The
    lines are those of vLLM 0.32, but for the first, of which it logs no end.
    """
    times = stage_times()
    yield Stage(
        "process and device set-up", times.process_seconds, "process and device set-up took {seconds:.2f} s"
    )
    yield Stage(
        "loading weights",
        engine.model.download_gib / times.weights_gib_per_second,
        "Loading weights took {seconds:.2f} seconds",
    )
    if engine.graphs:
        per_layer = times.compiled_seconds_per_layer if compiled else times.compile_seconds_per_layer
        yield Stage(
            COMPILATION, engine.model.layers * per_layer, "torch.compile took {seconds:.2f} s in total"
        )
        yield Stage(
            "CUDA graph capture",
            engine.model.layers * times.graph_seconds_per_layer,
            "Graph capturing finished in {seconds:.0f} secs, took 0.00 GiB",
        )
