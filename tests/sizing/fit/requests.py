"""Requests that the tests of fit vary."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, Unpack

from sizing.fit import Engine, FitRequest, Measured, TypicalRequest
from sizing.fit.adapters import AdapterSlots
from sizing.hardware.accelerators import accelerator
from sizing.models.models import load_model

CONFIGS = Path(__file__).parent / "configs"


class Choices(TypedDict, total=False):
    engine: Engine
    engine_version: str | None
    tensor_parallel: int
    pipeline_parallel: int
    max_model_len: int | None
    quantization: str | None
    kv_cache_dtype: str
    adapters: AdapterSlots | None
    gpu_memory_utilization: float | None
    max_num_batched_tokens: int | None
    max_num_seqs: int | None
    enforce_eager: bool
    trust_remote_code: bool
    measured: Measured
    typical_request: TypicalRequest | None
    itl_seconds: float | None


def ask(model: str, gpu: str = "nvidia-h100-80gb", **choices: Unpack[Choices]) -> FitRequest:
    """A request for a model by its id, or by the name of a file in configs/."""
    path = CONFIGS / f"{model}.json"
    return FitRequest(load_model(str(path) if path.exists() else model), accelerator(gpu), **choices)
