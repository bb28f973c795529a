"""`python -m local.engine.calibration fit TABLE` writes timing.json and roofline.yaml (sizing/capacity/data)
from measured latencies; `check TABLE` prints how far what is shipped is from a table, and writes nothing."""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from local.engine.calibration.check import check_table
from local.engine.calibration.fit import (
    fit_step_time,
    held_out_predictions,
    mean_step_ms,
    relative_error,
    replayed_ms,
    tpot_error,
)
from local.engine.calibration.points import (
    PUBLISHED,
    Configuration,
    Measurements,
    Point,
    TableError,
    read_points,
    unsaturated,
)
from local.engine.calibration.roofline import (
    Points,
    dense_fits,
    estimate,
    fit_experts,
    fit_roofline,
    is_dense,
    unseen_gpu_errors,
)
from sizing.capacity.limits import default_step_tokens
from sizing.capacity.timing import DATA, MeasuredTiming, Roofline, StepTime
from sizing.hardware.accelerators import accelerator

SOURCE = "fitted to NVIDIA aiconfigurator silicon_sample.csv (Apache-2.0)"
PUBLISHED_SOURCE = "fitted to one published measurement (GPUStack's documentation of gpt-oss-20b)"

FEW_STREAMS, SHORT_PROMPT = 4, 2048
"""Up to which a time to first token is one prompt's and the time around it, not that of others: with eight
streams some measurements send all at once."""

COMMAND = "python -m local.engine.calibration fit <measured-latency.csv>"

HEADER = """\
# {what}
# Written by `{command}`; do not edit.
"""


def measured_row(
    configuration: Configuration, points: Sequence[Point], timing: StepTime, estimated: StepTime, source: str
) -> MeasuredTiming:
    """The row to keep."""
    held_out = held_out_predictions(points, estimated)
    named = [point.engine_version for point in points if point.engine_version]
    versions = sorted({version for names in named for version in names.split(", ")})
    unseen = [(mean_step_ms(other, point), point.tpot_ms) for point, other in held_out]
    return MeasuredTiming(
        name=configuration.name,
        model=configuration.model,
        accelerator=configuration.accelerator,
        precision=configuration.precision,
        tensor_parallel=configuration.tensor_parallel,
        alpha_ms=timing.alpha_ms,
        beta_ms=timing.beta_ms,
        gamma_ms=timing.gamma_ms,
        sequence_ms=timing.sequence_ms,
        experts_ms=timing.experts_ms,
        points=len(points),
        tpot_error=tpot_error(timing, points),
        tpot_error_held_out=relative_error(unseen) if unseen else None,
        source=f"vLLM {', '.join(versions) or 'of an unnamed version'}; {source}",
    )


def unexplained_ms(fits: dict[Configuration, StepTime], points: Points) -> float:
    """Median, over configurations, of what no step explains of a short prompt's time to first token."""
    found = []
    for configuration, timing in fits.items():
        step_tokens = default_step_tokens(accelerator(configuration.accelerator))
        parts = [
            point.ttft_ms - replayed_ms(point, timing, step_tokens)[0]
            for point in points[configuration]
            if point.concurrency <= FEW_STREAMS and point.prompt_tokens <= SHORT_PROMPT
        ]
        if parts:
            found.append(statistics.median(parts))
    return max(0.0, statistics.median(found))


def rounded(value: object) -> object:
    """Four significant digits: more than the measurements have."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def write_yaml(path: Path, what: str, document: object) -> None:
    text = yaml.safe_dump(document, sort_keys=False, width=118)
    path.write_text(HEADER.format(what=what, command=COMMAND) + text, encoding="utf-8")


def fitted(measured: Measurements) -> tuple[Roofline, list[MeasuredTiming]]:
    """The estimate of everything, and a row for each configuration that somebody measured."""
    points = unsaturated(measured.points)
    dense = fit_roofline(dense_fits(points), f"efficiencies of dense models, {SOURCE}")
    roofline = fit_experts(dense, points)
    errors = unseen_gpu_errors(points)
    fits = {each: fit_step_time(rows, estimate(roofline, each)) for each, rows in points.items()}
    roofline = dataclasses.replace(
        roofline,
        dense_error=statistics.median(error for each, error in errors.items() if is_dense(each)),
        experts_error=statistics.median(error for each, error in errors.items() if not is_dense(each)),
        request_ms=unexplained_ms({each: fit for each, fit in fits.items() if is_dense(each)}, points),
    )
    rows = [
        measured_row(each, points[each], fit, estimate(roofline, each), SOURCE) for each, fit in fits.items()
    ]
    for each, published in read_points(PUBLISHED, most_streams=1024).points.items():
        estimated = estimate(roofline, each)
        fit = fit_step_time(published, estimated)
        rows.append(measured_row(each, published, fit, estimated, PUBLISHED_SOURCE))
    return roofline, rows


def fit_table(path: Path, console: Console) -> None:
    roofline, rows = fitted(read_points(path))
    table = Table("configuration", "points", "TPOT", "TPOT held out", title="mean absolute error")
    for row in rows:
        held_out = "" if row.tpot_error_held_out is None else f"{row.tpot_error_held_out:.1%}"
        table.add_row(row.name, str(row.points), f"{row.tpot_error:.1%}", held_out)
    console.print(table)
    console.print(
        f"roofline on a kind of GPU it has not seen: TPOT {roofline.dense_error:.1%} for dense models, "
        f"{roofline.experts_error:.1%} for mixtures of experts"
    )
    table_rows = {
        row.name: {key: rounded(value) for key, value in dataclasses.asdict(row).items() if key != "name"}
        for row in rows
    }
    document = {"written_by": COMMAND, "rows": table_rows}
    (DATA / "timing.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    constants = {key: rounded(value) for key, value in dataclasses.asdict(roofline).items()}
    write_yaml(DATA / "roofline.yaml", "How much of the hardware's peak the measured rows reach.", constants)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0, 1 for a table that is of no use, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m local.engine.calibration", description=__doc__)
    parser.add_argument("action", choices=["fit", "check"])
    parser.add_argument("table", type=Path, help="CSV with the columns of points.py")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:
        return 0 if end.code == 0 else 2
    console = Console(width=150)
    try:
        if options.action == "fit":
            fit_table(options.table, console)
        else:
            check_table(options.table, console)
    except TableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
