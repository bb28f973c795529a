"""How much of the hardware's peak the fitted constants reach, for configurations that nobody measured."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from local.engine.calibration.fit import non_negative_fit, step_terms, tpot_error
from local.engine.calibration.points import Configuration, Point
from sizing.capacity.timing import BYTES_PER_VALUE, Roofline, StepTime, roofline_time
from sizing.hardware.accelerators import accelerator
from sizing.models.models import MODELS

LINK_GB_PER_S = {
    "nvlink": 450.0,
    "pcie": 32.0,
    "nvidia-a100-40gb": 300.0,
    "nvidia-a100-80gb": 300.0,
    "nvidia-rtx-pro-6000-96gb": 64.0,
    "nvidia-b200": 900.0,
    "nvidia-b300": 900.0,
}
"""One way per GPU: NVLink 4 and PCIe 4 x16 unless the accelerator is named (aiconfigurator 0.12.0, system
files)."""

PERFECT = Roofline(
    weight_read_efficiency=1.0,
    experts_read_efficiency=1.0,
    layer_overhead_ms=0.0,
    sequence_ms=0.0,
    compute_efficiency=1.0,
    kv_read_efficiency=1.0,
    dense_error=0.0,
    experts_error=0.0,
    request_ms=0.0,
    rows=0,
    source="",
    link_gb_per_s=LINK_GB_PER_S,
)
"""Full bandwidth and throughput, and no time per layer."""

SEQUENCE_MS = 0.05
"""Of the host, per sequence and step. Fits without an estimate to lean on find 0.01 to 0.09, mostly 0.03,
with vLLM 0.12 to 0.19; gpt-oss-20b in batches of 221 and 710 took 0.09 with 0.11 (published.csv)."""

FEWEST_POINTS = 8
"""Three constants need more points than that to be told apart without an estimate."""

Fits = Mapping[Configuration, StepTime]
Points = Mapping[Configuration, Sequence[Point]]


def dense_fits(points: Points) -> dict[Configuration, StepTime]:
    """alpha, beta and gamma of dense models, from their measurements alone."""
    found = {}
    for configuration, measured in points.items():
        eight_bits_or_more = BYTES_PER_VALUE[configuration.precision] >= 1  # kernels for 4 bits are others
        if not (is_dense(configuration) and eight_bits_or_more and len(measured) >= FEWEST_POINTS):
            continue
        terms = [
            [step_terms(point, 0.0)[name] for name in ("alpha_ms", "beta_ms", "gamma_ms")]
            for point in measured
        ]
        alpha, beta, gamma = non_negative_fit(terms, [point.tpot_ms for point in measured])
        if min(alpha, beta, gamma) > 0:
            found[configuration] = StepTime(alpha, beta, gamma, "measured", "")
    return found


def fit_experts(roofline: Roofline, points: Points) -> Roofline:
    """The efficiency of reading routed experts that brings the estimates closest to measurements, to 0.01."""
    experts = {each: measured for each, measured in points.items() if not is_dense(each)}
    if not experts:
        return roofline
    candidates = [
        dataclasses.replace(roofline, experts_read_efficiency=percent / 100) for percent in range(20, 101)
    ]

    def error(candidate: Roofline) -> float:
        return statistics.fmean(
            tpot_error(estimate(candidate, each), measured) for each, measured in experts.items()
        )

    return min(candidates, key=error)


def ideal(configuration: Configuration) -> StepTime:
    """The constants at full bandwidth and throughput, without any time per layer."""
    return estimate(PERFECT, configuration)


def fit_roofline(dense: Fits, source: str) -> Roofline:
    """Efficiencies that bring the ideal constants closest to the fitted ones of dense models."""
    inverse_read, layer_ms = non_negative_fit(
        [(ideal(each).alpha_ms, float(MODELS[each.model].layers)) for each in dense],
        [timing.alpha_ms for timing in dense.values()],
    )
    exchange = {each: _exchange_ms(each) for each in dense}
    compute = statistics.median(
        (ideal(each).beta_ms - exchange[each]) / (timing.beta_ms - exchange[each])
        for each, timing in dense.items()
        if timing.beta_ms > exchange[each]
    )
    kv_read = statistics.median(ideal(each).gamma_ms / timing.gamma_ms for each, timing in dense.items())
    return dataclasses.replace(
        PERFECT,
        weight_read_efficiency=1 / inverse_read,
        layer_overhead_ms=layer_ms,
        sequence_ms=SEQUENCE_MS,
        compute_efficiency=compute,
        kv_read_efficiency=kv_read,
        rows=len(dense),
        source=source,
    )


def is_dense(configuration: Configuration) -> bool:
    served = MODELS[configuration.model]
    return served.active_parameters_billion == served.parameters_billion


def unseen_gpu_errors(points: Points) -> dict[Configuration, float]:
    """TPOT error of each configuration, estimated from the other kinds of GPU: what an unmeasured GPU has to
    expect."""
    errors = {}
    for gpu in sorted({configuration.accelerator for configuration in points}):
        others = {each: measured for each, measured in points.items() if each.accelerator != gpu}
        roofline = fit_experts(fit_roofline(dense_fits(others), ""), others)
        errors |= {
            each: tpot_error(estimate(roofline, each), points[each])
            for each in points
            if each.accelerator == gpu
        }
    return errors


def estimate(roofline: Roofline, configuration: Configuration) -> StepTime:
    return roofline_time(
        roofline,
        MODELS[configuration.model],
        accelerator(configuration.accelerator),
        configuration.precision,
        configuration.tensor_parallel,
    )


def _exchange_ms(configuration: Configuration) -> float:
    """The part of the ideal beta that is exchange between GPUs: what is left at infinite throughput."""
    return estimate(dataclasses.replace(PERFECT, compute_efficiency=1e12), configuration).beta_ms
