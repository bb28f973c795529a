"""How a release of an engine divides GPU memory: data/engine_memory.yaml as dataclasses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from sizing.fit.request import Engine
from sizing.models.architecture import Architecture
from sizing.tables import read_data


@dataclass(frozen=True)
class Release:
    """One release of an engine; the data file says what each field means."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    since: str
    source: str
    utilization: float
    block_tokens: int
    outside_torch: Mapping[int, float]
    activation_at: int
    activation: Mapping[str, float]
    fixed_activation: Mapping[str, float]
    smallest_activation: float
    cuda_graphs: float
    graphs_deducted: bool
    spread_gib: float
    uncertainty_pct: float
    window_groups: bool
    group_slack: float
    in_flight_batches: int
    recurrent_blocks: int
    latent_multiple: int
    blocks_bound_sequences: bool
    tokens_reported: Literal["requests", "groups"]

    def outside_torch_gib(self, tensor_parallel: int) -> float:
        """Of the largest measured size that is not above this one."""
        return self.outside_torch[max(size for size in self.outside_torch if size <= tensor_parallel)]

    def activation_gib(self, architecture: Architecture, step_tokens: int) -> float:
        """Peak activation on each GPU of a step of so many tokens; tensor parallelism does not divide it."""
        family = architecture.family
        if family in self.fixed_activation:
            return self.fixed_activation[family]
        kind = "experts" if architecture.experts > 0 else "dense"
        peak = self.activation[family if family in self.activation else kind]
        return max(peak * step_tokens / self.activation_at, self.smallest_activation)


@cache
def releases() -> Mapping[str, Sequence[Release]]:
    """Releases by engine, newest first."""
    path = Path(__file__).parent / "data" / "engine_memory.yaml"
    adapter = TypeAdapter(Release)
    return {
        engine: tuple(
            adapter.validate_python({**rows["all_releases"], **release}) for release in rows["releases"]
        )
        for engine, rows in read_data(path).items()
    }


def release(engine: Engine, version: str | None) -> Release:
    """What holds for this version; None is the newest. Triton serves language models with vLLM inside.

    Raises ValueError for a version that is none, or older than anything known.
    """
    known = releases()["vllm" if engine == "triton" else engine]
    if version is None or engine == "triton":
        return known[0]
    wanted = _number(version)
    for candidate in known:
        if _number(candidate.since) <= wanted:
            return candidate
    raise ValueError(f"{engine} {version} is older than anything known here: {known[-1].since} and newer")


def _number(version: str) -> tuple[int, int, int]:
    found = re.match(r"v?(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,6}))?", version)
    if found is None:
        raise ValueError(f"engine version {version!r} is none: expected something like 0.32.0")
    major, minor, patch = found.groups(default="0")
    return int(major), int(minor), int(patch)
