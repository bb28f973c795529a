"""The sum of GPU memory on one GPU of a replica: what the engine asks for, and what is left for cache.

pool = ceil(usable x utilization) - weights - adapters - outside torch - activation - CUDA graphs
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

from sizing.capacity.limits import default_step_tokens
from sizing.fit.adapters import adapters_gib
from sizing.fit.datatypes import cache_bytes, served_quantization
from sizing.fit.release import Release, release
from sizing.fit.request import FitRequest
from sizing.fit.result import Line
from sizing.models.architecture import Quantization
from sizing.models.weights import GIB, Stage, gpu_weights_gib, stages

WEIGHTS_ERROR = 0.01
"""Of the formula for weights: 0.1 to 0.4 % against logs, more where a vision tower is estimated."""


@dataclass(frozen=True)
class Setting:
    """A request with every default filled in."""

    request: FitRequest
    release: Release
    quantization: Quantization
    utilization: float
    step_tokens: int
    context: int
    bytes_per_value: float

    @property
    def in_flight_tokens(self) -> int:
        """Tokens that are scheduled and not settled: a pipeline has one step per stage under way."""
        overlapping = max(self.release.in_flight_batches, self.request.pipeline_parallel)
        return self.step_tokens * overlapping


def setting(request: FitRequest) -> Setting:
    """Fills in what engine, release and GPU imply. Raises ValueError on an unknown version or method, or
    adapters of an engine that is not vLLM."""
    used = release(request.engine, request.engine_version)
    if request.adapters is not None and request.engine in ("sglang", "tgi"):
        raise ValueError(f"memory of adapters is only known of vllm, not of {request.engine}")
    return Setting(
        request=request,
        release=used,
        quantization=served_quantization(request.model, request.quantization),
        utilization=_given(request.gpu_memory_utilization, used.utilization),
        step_tokens=_given(request.max_num_batched_tokens, default_step_tokens(request.accelerator)),
        context=_given(request.max_model_len, request.model.max_context),
        bytes_per_value=cache_bytes(request.model, request.kv_cache_dtype),
    )


@dataclass(frozen=True)
class Memory:
    """GiB of one GPU of a stage. cuda_graphs: 0 where they are not taken from the pool. sources: of each."""

    stage: Stage
    usable: float
    requested: float
    weights: float
    adapters: float
    outside_torch: float
    activation: float
    cuda_graphs: float
    pool: float
    uncertainty_pct: float
    lines: tuple[Line, ...]

    @property
    def overhead(self) -> float:
        return self.outside_torch + self.activation + self.cuda_graphs


def memory_by_stage(chosen: Setting) -> tuple[Memory, ...]:
    """The sum for each pipeline stage; one without pipeline parallelism."""
    request = chosen.request
    count = min(max(request.pipeline_parallel, 1), request.model.layers)
    return tuple(memory(chosen, stage) for stage in stages(request.model.layers, count))


def memory(chosen: Setting, stage: Stage) -> Memory:
    """The sum on one GPU of this stage. Measured figures replace formula and constants exactly."""
    request, used, measured = chosen.request, chosen.release, chosen.request.measured
    degree = max(request.tensor_parallel, 1)
    formula = gpu_weights_gib(request.model.architecture, chosen.quantization, degree, stage)
    usable = _given(measured.usable_gib, request.accelerator.usable_gib)
    requested = ceil(usable * GIB * chosen.utilization) / GIB
    weights = _given(measured.weights_gib, formula)
    adapters = _adapters(chosen, degree, stage)
    outside = _given(measured.non_torch_gib, used.outside_torch_gib(degree))
    peak = used.activation_gib(request.model.architecture, chosen.step_tokens)
    activation = _given(measured.activation_gib, peak)
    graphs = _given(measured.cuda_graph_gib, _graphs(chosen))
    left = requested - weights - adapters - outside - activation - graphs
    pool = _given(measured.kv_pool_gib, left)
    constant = f"constant of {request.engine} from {used.since}"
    step = f"{constant}, {chosen.step_tokens} tokens per step"
    lines = (
        Line("usable memory", usable, _source(measured.usable_gib, request.accelerator.source)),
        Line("requested", requested, f"usable x utilization {chosen.utilization:g}"),
        Line("weights", -weights, _source(measured.weights_gib, _weights_source(chosen))),
        *_adapter_lines(chosen, adapters),
        Line("outside torch", -outside, _source(measured.non_torch_gib, constant)),
        Line("peak activation", -activation, _source(measured.activation_gib, step)),
        Line("CUDA graphs", -graphs, _source(measured.cuda_graph_gib, _graphs_source(chosen, constant))),
        Line("KV pool", pool, _source(measured.kv_pool_gib, "what is left")),
    )
    return Memory(
        stage, usable, requested, weights, adapters, outside, activation, graphs, pool,
        _uncertainty_pct(chosen, weights, pool), lines,
    )  # fmt: skip


def _adapters(chosen: Setting, degree: int, stage: Stage) -> float:
    """Logs count them among the weights, so given weights include them."""
    request = chosen.request
    if request.measured.weights_gib is not None:
        return 0.0
    return adapters_gib(request.model.architecture, chosen.quantization, request.adapters, degree, stage)


def _adapter_lines(chosen: Setting, adapters: float) -> Iterator[Line]:
    kept, given = chosen.request.adapters, chosen.request.measured.weights_gib is not None
    if kept is not None:
        yield Line(
            "adapters", -adapters, "included in the given weights" if given else f"{kept.text}, 16 bits"
        )


def _graphs(chosen: Setting) -> float:
    """A measured activation includes the estimate for graphs, in logs of releases that make one."""
    included = chosen.request.measured.activation_gib is not None
    return chosen.release.cuda_graphs if chosen.release.graphs_deducted and not included else 0.0


def _graphs_source(chosen: Setting, constant: str) -> str:
    if chosen.release.graphs_deducted and chosen.request.measured.activation_gib is not None:
        return "included in the given activation"
    return constant if chosen.release.graphs_deducted else "not taken from the pool in this release"


def _weights_source(chosen: Setting) -> str:
    request, precision = chosen.request, chosen.quantization.precision
    parts = [f"{request.model.architecture.parameters / 1e9:.2f} billion parameters", precision]
    if request.tensor_parallel > 1:
        parts.append(f"over {request.tensor_parallel} GPUs")
    if request.pipeline_parallel > 1:
        parts.append(f"largest of {request.pipeline_parallel} stages")
    return ", ".join(parts)


def _source(measured: float | None, otherwise: str) -> str:
    return otherwise if measured is None else "given"


def _uncertainty_pct(chosen: Setting, weights: float, pool: float) -> float:
    """Error band of the pool: none if it is given or all its terms are, else what the release is off by, or
    more where the pool is small beside the spread of the constants that were used."""
    measured = chosen.request.measured
    if measured.kv_pool_gib is not None:
        return 0.0
    constants = sum(_constant_shares(chosen))
    formula = WEIGHTS_ERROR * weights if measured.weights_gib is None else 0.0
    off_by = chosen.release.spread_gib * constants + formula
    if off_by == 0:
        return 0.0
    if pool <= 0:
        return 100.0
    spread = 100 * off_by / pool
    band = chosen.release.uncertainty_pct if constants == 1 else 0.0
    return round(min(100.0, max(spread, band)), 1)


def _constant_shares(chosen: Setting) -> Iterator[float]:
    """Share of the release's spread that each constant brings, as far as it is not given."""
    measured = chosen.request.measured
    yield 0.2 if measured.non_torch_gib is None else 0.0
    yield 0.8 if measured.activation_gib is None else 0.0


Value = TypeVar("Value", int, float)


def _given(value: Value | None, default: Value) -> Value:
    return default if value is None else value
