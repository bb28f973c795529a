"""Writes timing.yaml and roofline.yaml (sizing/capacity/data) from measured latencies; prints the errors."""

from __future__ import annotations

import dataclasses
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from local.engine.calibration.fit import (
    fit_step_time,
    held_out_predictions,
    mean_step_ms,
    relative_error,
    replayed_ms,
    tpot_error,
)
from local.engine.calibration.points import Configuration, Point, read_points
from local.engine.calibration.roofline import fit_roofline, is_dense, unseen_gpu_errors
from sizing.capacity.limits import default_step_tokens
from sizing.capacity.timing import DATA, MeasuredTiming, StepTime
from sizing.hardware.accelerators import accelerator

SOURCE = "fitted to NVIDIA aiconfigurator silicon_sample.csv (Apache-2.0)"

WORST_HELD_OUT_ERROR = 0.20
"""A fit that misses an unseen concurrency by more is no better than the roofline, and is not kept."""

EXPLAINED_TTFT_ERROR = 0.15
"""A row whose time to first token the replay misses by more says little about the time around the steps."""

HEADER = """\
# {what}
# Written by `python -m local.engine.calibration <measured-latency.csv>`; do not edit.
"""


def measured_row(configuration: Configuration, points: Sequence[Point], timing: StepTime) -> MeasuredTiming:
    """The row to keep. request_ms is the median part of the measured TTFT that no step explains."""
    held_out = relative_error(
        (mean_step_ms(other, point), point.tpot_ms) for point, other in held_out_predictions(points)
    )
    step_tokens = default_step_tokens(accelerator(configuration.accelerator))
    replays = [replayed_ms(point, timing, step_tokens) for point in points]
    unexplained = statistics.median(
        point.ttft_ms - ttft for point, (ttft, _) in zip(points, replays, strict=True)
    )
    request_ms = max(0.0, unexplained)
    versions = sorted({point.engine_version or "unnamed version" for point in points})
    return MeasuredTiming(
        name=configuration.name,
        model=configuration.model,
        accelerator=configuration.accelerator,
        precision=configuration.precision,
        tensor_parallel=configuration.tensor_parallel,
        alpha_ms=timing.alpha_ms,
        beta_ms=timing.beta_ms,
        gamma_ms=timing.gamma_ms,
        request_ms=request_ms,
        points=len(points),
        tpot_error=tpot_error(timing, points),
        tpot_error_held_out=held_out,
        ttft_error=relative_error(
            (ttft + request_ms, point.ttft_ms) for point, (ttft, _) in zip(points, replays, strict=True)
        ),
        source=f"vLLM {', '.join(versions)}; {SOURCE}",
    )


def rounded(value: object) -> object:
    """Four significant digits: more than the measurements have."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def write_yaml(path: Path, what: str, document: object) -> None:
    text = yaml.safe_dump(document, sort_keys=False, width=118)
    path.write_text(HEADER.format(what=what) + text, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m local.engine.calibration <measured-latency.csv>", file=sys.stderr)
        return 2
    points = read_points(Path(arguments[0]))
    fits = {configuration: fit_step_time(rows) for configuration, rows in points.items()}
    complete = {each: fit for each, fit in fits.items() if min(fit.alpha_ms, fit.beta_ms, fit.gamma_ms) > 0}
    rows = [measured_row(each, points[each], fit) for each, fit in complete.items()]
    kept = [row for row in rows if row.tpot_error_held_out <= WORST_HELD_OUT_ERROR]
    kept_names = {row.name for row in kept}
    kept_fits = {each: fit for each, fit in complete.items() if each.name in kept_names}
    roofline = fit_roofline(kept_fits, f"efficiencies of dense models, {SOURCE}")
    errors = unseen_gpu_errors(kept_fits, points)
    roofline = dataclasses.replace(
        roofline,
        dense_error=statistics.fmean(error for each, error in errors.items() if is_dense(each)),
        experts_error=statistics.fmean(error for each, error in errors.items() if not is_dense(each)),
        request_ms=statistics.median(
            row.request_ms for row in kept if row.ttft_error <= EXPLAINED_TTFT_ERROR
        ),
    )

    table = Table(
        "configuration", "points", "TPOT", "TPOT held out", "TTFT", "kept", title="mean absolute error"
    )
    for row in rows:
        shown = (f"{value:.1%}" for value in (row.tpot_error, row.tpot_error_held_out, row.ttft_error))
        table.add_row(row.name, str(row.points), *shown, "yes" if row.name in kept_names else "no")
    console = Console(width=150)
    console.print(table)
    console.print(
        f"roofline on a kind of GPU it has not seen: TPOT {roofline.dense_error:.1%} for dense models, "
        f"{roofline.experts_error:.1%} for mixtures of experts"
    )

    table_rows = {
        row.name: {key: rounded(value) for key, value in dataclasses.asdict(row).items() if key != "name"}
        for row in kept
    }
    write_yaml(DATA / "timing.yaml", "Step time constants by configuration.", {"rows": table_rows})
    constants = {key: rounded(value) for key, value in dataclasses.asdict(roofline).items()}
    write_yaml(DATA / "roofline.yaml", "How much of the hardware's peak the measured rows reach.", constants)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
