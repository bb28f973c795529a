"""How long one step takes on the GPU: measured where there are measurements, a roofline where there are none.

    step = alpha + beta x (tokens computed in the step) + gamma x (tokens of KV cache that its attention
    reads)

alpha is reading the weights and launching the layers, beta the arithmetic and the exchange between GPUs per
token, gamma reading one token's keys and values. The form is that of queue models fitted to vLLM (llm-d's
workload variant autoscaler); the numbers are in data/timing.yaml, written by local/engine/calibration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from sizing.hardware.accelerators import Accelerator
from sizing.models.architecture import BYTES_PER_VALUE
from sizing.models.models import MODELS, Model
from sizing.tables import read_data, read_table

DATA = Path(__file__).parent / "data"

Basis = Literal["measured", "estimated"]


@dataclass(frozen=True)
class StepTime:
    """Constants of the step time, and where they come from.

    alpha_ms per step, beta_ms per computed token, gamma_ms per token of context; request_ms once per request,
    before it is queued (parsing, tokenizing, handing over between processes); source is for people.
    """

    alpha_ms: float
    beta_ms: float
    gamma_ms: float
    basis: Basis
    source: str
    request_ms: float = 0.0

    def seconds(self, computed_tokens: int, context_tokens: int) -> float:
        return (self.alpha_ms + self.beta_ms * computed_tokens + self.gamma_ms * context_tokens) / 1000


@dataclass(frozen=True)
class MeasuredTiming:
    """A row of data/timing.yaml: constants fitted to measurements.

    points: how many measurements. *_error: mean of |predicted - measured| / measured; held_out is for
    concurrencies that the fit did not see, ttft_error for the emulator's scheduler run on these constants.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    model: str
    accelerator: str
    precision: str
    tensor_parallel: int
    alpha_ms: float
    beta_ms: float
    gamma_ms: float
    request_ms: float
    points: int
    tpot_error: float
    tpot_error_held_out: float
    ttft_error: float
    source: str


@dataclass(frozen=True)
class Roofline:
    """data/roofline.yaml: how much of the hardware's peak the measured rows reach.

    weight_read_efficiency: share of memory bandwidth when reading weights; layer_overhead_ms: launching one
    layer. compute_efficiency: share of dense tensor throughput; kv_read_efficiency: share of bandwidth
    reading the cache. link_gb_per_s: one way between two GPUs, by accelerator, or by interconnect where it is
    not named. *_error: of the time per output token estimated for a kind of GPU that is not among the rows,
    for dense models and for mixtures of experts.
    request_ms: median over the measured rows.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    weight_read_efficiency: float
    layer_overhead_ms: float
    compute_efficiency: float
    kv_read_efficiency: float
    dense_error: float
    experts_error: float
    request_ms: float
    rows: int
    source: str
    link_gb_per_s: dict[str, float]


@cache
def measured_rows() -> Mapping[str, MeasuredTiming]:
    return read_table(DATA / "timing.yaml", MeasuredTiming)


@cache
def fitted_roofline() -> Roofline:
    document = read_data(DATA / "roofline.yaml")
    return TypeAdapter(Roofline).validate_python(document)


def same_architecture(one: Model, other: Model) -> bool:
    """Whether two models cost the same per step: fine-tunes and requantised copies of one another do."""
    return (
        one.layers == other.layers
        and one.hidden_size == other.hidden_size
        and one.attention_heads == other.attention_heads
        and one.kv_heads == other.kv_heads
        and one.active_parameters_billion == other.active_parameters_billion
    )


def step_time(model: Model, accelerator: Accelerator, precision: str, tensor_parallel: int) -> StepTime:
    """Constants for one replica: a measured row for this architecture and hardware, else the roofline."""
    for row in measured_rows().values():
        if (
            row.accelerator == accelerator.name
            and row.precision == precision
            and row.tensor_parallel == tensor_parallel
            and same_architecture(MODELS[row.model], model)
        ):
            source = f"{row.source}; TPOT error {row.tpot_error_held_out:.0%} at an unseen concurrency"
            return StepTime(row.alpha_ms, row.beta_ms, row.gamma_ms, "measured", source, row.request_ms)
    return roofline_time(fitted_roofline(), model, accelerator, precision, tensor_parallel)


def compute_tflops(accelerator: Accelerator, precision: str) -> float:
    """Dense throughput that weights of this precision run at. 4-bit weights are expanded to 16 bits.

    T4 has no bf16 units; its fp16 throughput (65 TFLOPS, data sheet) stands in.
    """
    if precision == "fp8" and accelerator.fp8_tflops is not None:
        return accelerator.fp8_tflops
    return 65.0 if accelerator.bf16_tflops is None else accelerator.bf16_tflops


def link_bandwidth(roofline: Roofline, accelerator: Accelerator) -> float:
    """GB/s one way between two GPUs of one machine."""
    by_name = roofline.link_gb_per_s
    return by_name.get(accelerator.name, by_name[accelerator.interconnect])


def roofline_time(
    roofline: Roofline, model: Model, accelerator: Accelerator, precision: str, tensor_parallel: int
) -> StepTime:
    """Estimated constants.

    alpha: weights of one GPU over bandwidth, plus a fixed time per layer. Of a mixture of experts, a step
    reads between the active weights (one sequence) and all of them (many); their geometric mean stands for
    it. beta: 2 floating point operations per active parameter over throughput, plus two all-reduces per layer
    of the hidden state in 16 bits, each moving 2 (n-1)/n of it. gamma: keys and values of one token of one
    GPU over bandwidth.
    """
    read_billion = math.sqrt(model.active_parameters_billion * model.parameters_billion)
    weights_gb = read_billion * BYTES_PER_VALUE[precision] / tensor_parallel
    read_ms = weights_gb / (accelerator.bandwidth_gb_per_s * roofline.weight_read_efficiency) * 1000
    alpha_ms = read_ms + roofline.layer_overhead_ms * model.layers
    operations = 2e9 * model.active_parameters_billion / tensor_parallel
    peak = compute_tflops(accelerator, precision) * 1e12
    exchanged = 2 * model.layers * model.hidden_size * 2 * 2 * (tensor_parallel - 1) / tensor_parallel
    exchange_ms = exchanged / (link_bandwidth(roofline, accelerator) * 1e9) * 1000
    beta_ms = operations / (peak * roofline.compute_efficiency) * 1000 + exchange_ms
    sharing = min(tensor_parallel, model.kv_heads)  # beyond that the heads are copied, not divided
    kv_bytes = model.kv_bytes_per_token() / sharing
    gamma_ms = kv_bytes / (accelerator.bandwidth_gb_per_s * 1e9 * roofline.kv_read_efficiency) * 1000
    return StepTime(
        alpha_ms, beta_ms, gamma_ms, "estimated", roofline_source(roofline, model), roofline.request_ms
    )


def roofline_source(roofline: Roofline, model: Model) -> str:
    dense = model.active_parameters_billion == model.parameters_billion
    error = roofline.dense_error if dense else roofline.experts_error
    return f"roofline, {roofline.source}; TPOT error {error:.0%} on a kind of GPU not measured"
