"""How long one step takes on the GPU: measured where there are measurements, a roofline where there are none.

    step = alpha + experts x (1 - (1 - k / E) ^ tokens) + beta x tokens + gamma x (tokens of KV cache that its
    attention reads) + sequence x (sequences in the step)        tokens: those computed in the step

alpha is reading the weights that every step reads and launching the layers; experts is reading all routed
experts, of which a step reads those that its tokens are sent to: k of E for one token, nearly all for many.
beta is the arithmetic and the exchange between GPUs per token, gamma reading one token's keys and values,
sequence what the host does for each request in a step. Without the last two terms in brackets it is the form
of queue models fitted to vLLM (llm-d's workload variant autoscaler); the numbers are in data/timing.json,
written by local/engine/calibration.
"""

from __future__ import annotations

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

BLACKWELL = 10.0
"""Lowest compute capability with tensor cores for 4-bit floats."""

Basis = Literal["measured", "estimated"]


@dataclass(frozen=True)
class StepTime:
    """Constants of the step time, and where they come from.

    alpha_ms per step, beta_ms per computed token, gamma_ms per token of context, sequence_ms per sequence;
    request_ms once per request, before it is queued (parsing, tokenizing, handing over between processes);
    experts_ms for a step that reads every routed expert, of which one token leaves the share `unread` unread:
    0 and 0 for a dense model. prompt_ms: estimated arithmetic of one prompt token, where beta is fitted.
    source is for people.
    """

    alpha_ms: float
    beta_ms: float
    gamma_ms: float
    basis: Basis
    source: str
    request_ms: float = 0.0
    sequence_ms: float = 0.0
    experts_ms: float = 0.0
    unread: float = 0.0
    prompt_ms: float = 0.0

    @property
    def prompt_token_ms(self) -> float:
        """One token of a prompt that is computed at once: the arithmetic is the least that it takes.

        Where all requests of a measurement run in step, its times per token hold no prompts, and a fitted
        beta is too small for them.
        """
        return max(self.beta_ms, self.prompt_ms)

    @property
    def full_read_ms(self) -> float:
        """A step's weights where it computes so many tokens that all of them are read."""
        return self.alpha_ms + self.experts_ms

    def read_ms(self, tokens: float) -> float:
        """A step's weights, and what it takes whatever it computes."""
        return self.alpha_ms + self.experts_ms * (1 - self.unread**tokens)

    def seconds(self, computed_tokens: int, context_tokens: int, sequences: int) -> float:
        return (
            self.read_ms(computed_tokens)
            + self.beta_ms * computed_tokens
            + self.gamma_ms * context_tokens
            + self.sequence_ms * sequences
        ) / 1000


@dataclass(frozen=True)
class MeasuredTiming:
    """A row of data/timing.json: constants fitted to measurements.

    points: how many measurements. *_error: mean of |predicted - measured| / measured; held_out is for
    concurrencies that the fit did not see, None where there is one concurrency only.
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
    sequence_ms: float
    experts_ms: float
    points: int
    tpot_error: float
    tpot_error_held_out: float | None
    source: str


@dataclass(frozen=True)
class Roofline:
    """data/roofline.yaml: how much of the hardware's peak the measured rows reach.

    weight_read_efficiency: share of memory bandwidth when reading weights, experts_read_efficiency: when
    reading routed experts; layer_overhead_ms: launching one layer. sequence_ms: of the host, per sequence and
    step. compute_efficiency: share of dense tensor throughput; kv_read_efficiency: share of bandwidth reading
    the cache. link_gb_per_s: one way between two GPUs, by accelerator, or by interconnect where it is not
    named. *_error: of the time per output token estimated for a kind of GPU that is not among the rows,
    median over configurations, for dense models and for mixtures of experts.
    request_ms: median part of the measured times to first token that no step explains.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    weight_read_efficiency: float
    experts_read_efficiency: float
    layer_overhead_ms: float
    sequence_ms: float
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
    return read_table(DATA / "timing.json", MeasuredTiming)


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
            estimated = roofline_time(fitted_roofline(), model, accelerator, precision, tensor_parallel)
            return StepTime(
                row.alpha_ms,
                row.beta_ms,
                row.gamma_ms,
                "measured",
                f"{row.source}; {_stated_error(row)}",
                estimated.request_ms,
                row.sequence_ms,
                row.experts_ms,
                estimated.unread,
                estimated.beta_ms,
            )
    return roofline_time(fitted_roofline(), model, accelerator, precision, tensor_parallel)


def _stated_error(row: MeasuredTiming) -> str:
    if row.tpot_error_held_out is None:
        return f"TPOT error {row.tpot_error:.0%} at the one concurrency measured"
    return f"TPOT error {row.tpot_error_held_out:.0%} at an unseen concurrency"


def unread_share(model: Model) -> float:
    """Share of the routed experts that a step of one token does not read: 1 - k / E; 0 without experts."""
    experts = model.architecture.experts
    return 0.0 if experts == 0 else 1 - model.architecture.experts_per_token / experts


def compute_tflops(accelerator: Accelerator, precision: str) -> float:
    """Dense throughput that weights of this precision run at. 4-bit weights are expanded to 16 bits, but for
    NVFP4 on Blackwell, whose tensor cores take it at no less than the rate of fp8.

    T4 has no bf16 units; its fp16 throughput (65 TFLOPS, data sheet) stands in.
    """
    takes_fp4 = float(accelerator.compute_capability) >= BLACKWELL
    if accelerator.fp8_tflops is not None and (precision == "fp8" or (precision == "nvfp4" and takes_fp4)):
        return accelerator.fp8_tflops
    return 65.0 if accelerator.bf16_tflops is None else accelerator.bf16_tflops


def link_bandwidth(roofline: Roofline, accelerator: Accelerator) -> float:
    """GB/s one way between two GPUs of one machine."""
    by_name = roofline.link_gb_per_s
    return by_name.get(accelerator.name, by_name[accelerator.interconnect])


def routed_billion(model: Model) -> float:
    """Parameters of all routed experts, billions; 0 for a dense model.

    A token uses k of E of them, and everything else: total - active = routed x (1 - k / E).
    """
    unread = unread_share(model)
    if unread == 0:
        return 0.0
    return (model.parameters_billion - model.active_parameters_billion) / unread


def shared_bytes_per_value(precision: str) -> float:
    """Weights beside the routed experts: mxfp4 is a precision of experts, and the rest stays in 16 bits."""
    return 2.0 if precision == "mxfp4" else BYTES_PER_VALUE[precision]


def roofline_time(
    roofline: Roofline, model: Model, accelerator: Accelerator, precision: str, tensor_parallel: int
) -> StepTime:
    """Estimated constants.

    alpha: weights of one GPU without routed experts over bandwidth, plus a fixed time per layer; experts: the
    routed ones over bandwidth. beta: 2 floating point operations per active parameter over throughput, plus
    two all-reduces per layer of the hidden state in 16 bits, each moving 2 (n-1)/n of it. gamma: keys and
    values of one token of one GPU over bandwidth.
    """
    bytes_per_ms = accelerator.bandwidth_gb_per_s * tensor_parallel / 1000
    routed = routed_billion(model)
    shared_gb = (model.parameters_billion - routed) * shared_bytes_per_value(precision)
    read_ms = shared_gb / (bytes_per_ms * roofline.weight_read_efficiency)
    alpha_ms = read_ms + roofline.layer_overhead_ms * model.layers
    experts_ms = routed * BYTES_PER_VALUE[precision] / (bytes_per_ms * roofline.experts_read_efficiency)
    operations = 2e9 * model.active_parameters_billion / tensor_parallel
    peak = compute_tflops(accelerator, precision) * 1e12
    exchanged = 2 * model.layers * model.hidden_size * 2 * 2 * (tensor_parallel - 1) / tensor_parallel
    exchange_ms = exchanged / (link_bandwidth(roofline, accelerator) * 1e9) * 1000
    beta_ms = operations / (peak * roofline.compute_efficiency) * 1000 + exchange_ms
    sharing = min(tensor_parallel, model.kv_heads)  # beyond that the heads are copied, not divided
    kv_bytes = model.kv_bytes_per_token() / sharing
    gamma_ms = kv_bytes / (accelerator.bandwidth_gb_per_s * 1e9 * roofline.kv_read_efficiency) * 1000
    return StepTime(
        alpha_ms,
        beta_ms,
        gamma_ms,
        "estimated",
        roofline_source(roofline, model),
        roofline.request_ms,
        roofline.sequence_ms,
        experts_ms,
        unread_share(model),
    )


def roofline_source(roofline: Roofline, model: Model) -> str:
    dense = model.active_parameters_billion == model.parameters_billion
    error = roofline.dense_error if dense else roofline.experts_error
    return f"roofline, {roofline.source}; TPOT error {error:.0%} on a kind of GPU not measured"
