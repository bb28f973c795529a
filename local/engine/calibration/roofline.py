"""How much of the hardware's peak the fitted constants reach, for configurations that nobody measured."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from local.engine.calibration.fit import non_negative_fit, tpot_error
from local.engine.calibration.points import Configuration, Point
from sizing.capacity.timing import Roofline, StepTime, roofline_time
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
    layer_overhead_ms=0.0,
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

Fits = Mapping[Configuration, StepTime]


def ideal(configuration: Configuration) -> StepTime:
    """The constants at full bandwidth and throughput, without any time per layer."""
    return _estimate(PERFECT, configuration)


def fit_roofline(fits: Fits, source: str) -> Roofline:
    """Efficiencies that bring the ideal constants closest to the fitted ones of dense models."""
    dense = {configuration: timing for configuration, timing in fits.items() if is_dense(configuration)}
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
        compute_efficiency=compute,
        kv_read_efficiency=kv_read,
        rows=len(dense),
        source=source,
    )


def is_dense(configuration: Configuration) -> bool:
    served = MODELS[configuration.model]
    return served.active_parameters_billion == served.parameters_billion


def unseen_gpu_errors(
    fits: Fits, points: Mapping[Configuration, Sequence[Point]]
) -> dict[Configuration, float]:
    """TPOT error of each configuration, estimated from the other kinds of GPU: what an unmeasured GPU has to
    expect."""
    errors = {}
    for gpu in sorted({configuration.accelerator for configuration in fits}):
        others = {each: timing for each, timing in fits.items() if each.accelerator != gpu}
        roofline = fit_roofline(others, "")
        errors |= {
            each: tpot_error(_estimate(roofline, each), points[each])
            for each in fits
            if each.accelerator == gpu
        }
    return errors


def _estimate(roofline: Roofline, configuration: Configuration) -> StepTime:
    return roofline_time(
        roofline,
        MODELS[configuration.model],
        accelerator(configuration.accelerator),
        configuration.precision,
        configuration.tensor_parallel,
    )


def _exchange_ms(configuration: Configuration) -> float:
    """The part of the ideal beta that is exchange between GPUs: what is left at infinite throughput."""
    return _estimate(dataclasses.replace(PERFECT, compute_efficiency=1e12), configuration).beta_ms
