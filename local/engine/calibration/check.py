"""How far the shipped step times are from a table of measurements, per model and GPU."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.engine.calibration.fit import mean_step_ms
from local.engine.calibration.points import MOST_STREAMS, Measurements, TableError, read_points
from sizing.capacity.timing import step_time
from sizing.hardware.accelerators import accelerator
from sizing.models.models import MODELS

WITHIN = 0.25
"""The error up to which a planned step counts as right."""


@dataclass(frozen=True)
class Agreement:
    """One model on one kind of GPU. errors: (planned - measured) / measured of each measurement. measured,
    estimated: configurations by the basis of their constants."""

    model: str
    accelerator: str
    errors: tuple[float, ...]
    measured: int
    estimated: int

    @property
    def median(self) -> float:
        return statistics.median(abs(error) for error in self.errors)

    @property
    def within(self) -> float:
        return sum(abs(error) <= WITHIN for error in self.errors) / len(self.errors)

    @property
    def worst(self) -> float:
        return max(self.errors, key=abs)


def agreements(measurements: Measurements) -> list[Agreement]:
    """By model and kind of GPU, in the order of their names."""
    errors: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    bases: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for configuration, points in measurements.points.items():
        timing = step_time(
            MODELS[configuration.model],
            accelerator(configuration.accelerator),
            configuration.precision,
            configuration.tensor_parallel,
        )
        key = configuration.model, configuration.accelerator
        bases[key].append(timing.basis)
        errors[key] += [mean_step_ms(timing, point) / point.tpot_ms - 1 for point in points]
    return [
        Agreement(*key, tuple(errors[key]), bases[key].count("measured"), bases[key].count("estimated"))
        for key in sorted(errors)
    ]


def check_table(path: Path, console: Console) -> None:
    """Prints the table of errors, and the measurements that were left out. Raises TableError."""
    measurements = read_points(path)
    found = agreements(measurements)
    if not found:
        raise TableError(f"{path}: no row of vLLM with a model and a GPU that are known here")
    table = Table(
        "model", "GPU", "rows", "median", f"within {WITHIN:.0%}", "worst", "constants",
        title=f"time per output token, planned against measured, at most {MOST_STREAMS} streams",
    )  # fmt: skip
    for each in found:
        constants = [
            f"{count} {basis}"
            for count, basis in ((each.measured, "measured"), (each.estimated, "estimated"))
            if count
        ]
        table.add_row(
            each.model, each.accelerator, str(len(each.errors)), f"{each.median:.1%}", f"{each.within:.0%}",
            f"{each.worst:+.0%}", ", ".join(constants),
        )  # fmt: skip
    console.print(table)
    everything = [abs(error) for each in found for error in each.errors]
    within = sum(error <= WITHIN for error in everything) / len(everything)
    median = statistics.median(everything)
    console.print(f"all {len(everything)} rows: median {median:.1%}, {within:.1%} within {WITHIN:.0%}")
    if measurements.scattered:
        console.print("left out, because repeats differ by more than 1.25 x:")
        for line in measurements.scattered:
            console.print(f"  {line}")
