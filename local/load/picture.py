"""The picture of a run: demand, latency, what the autoscaler sees, replicas and nodes, on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from local.load.observe import Sample
from local.load.run import Run
from local.load.signals import QUEUE, TRIGGERS
from local.load.statistics import percentile

BIN_SECONDS = 5.0
BLUE, ORANGE, GREEN, RED, GREY, PURPLE = "#2b6cb0", "#dd6b20", "#2f855a", "#c53030", "#718096", "#805ad5"


def draw(run: Run, file: Path) -> None:
    """Writes a PNG. The run must have ended."""
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False}):
        figure = Figure(figsize=(11, 9), layout="constrained")
        axes = figure.subplots(4, 1, sharex=True)
        _demand(axes[0], run)
        _latency(axes[1], run)
        _autoscaler(axes[2], run)
        _capacity(axes[3], run)
        for axis in axes:
            _phases(axis, run)
            axis.set_ylim(bottom=0)
            if axis.get_legend_handles_labels()[0]:
                axis.legend(loc="upper left", bbox_to_anchor=(1.03, 1.0), fontsize=8, frameon=False)
        axes[-1].set_xlabel("seconds")
        axes[-1].set_xlim(0, run.now)
        figure.suptitle(
            f"Scenario {run.scenario.name}, model {run.scenario.model}. Real: Kubernetes, KEDA, Karpenter, "
            "Prometheus, Envoy.\nImitated: machines, GPUs and the engines on them",
            fontsize=10,
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=110)


def binned(times: Sequence[float], seconds: float, width: float = BIN_SECONDS) -> list[float]:
    """Events per second in each whole bin of `width` seconds from 0 to `seconds`."""
    # The last bin would be shorter than the others and look like a spike.
    counts = [0.0] * max(1, int(seconds // width))
    for at in times:
        index = int(at // width)
        if 0 <= index < len(counts):
            counts[index] += 1 / width
    return counts


def _demand(axis: Axes, run: Run) -> None:
    offered = binned([arrival.at for arrival in run.arrivals], run.now)
    served = binned([outcome.finished for outcome in run.outcomes if outcome.failure is None], run.now)
    failed = [outcome.finished for outcome in run.outcomes if outcome.failure is not None]
    times = [index * BIN_SECONDS for index in range(len(offered))]
    axis.step(times, offered, where="post", color=BLUE, label="offered")
    axis.step(times, served, where="post", color=GREEN, label="served")
    if failed:
        axis.plot(failed, [0.1] * len(failed), "x", color=RED, label=f"failed ({len(failed)})")
    axis.set_ylabel("requests/s")


def _latency(axis: Axes, run: Run) -> None:
    seen = [
        (outcome.arrival.at, outcome.first_token)
        for outcome in run.outcomes
        if outcome.first_token is not None
    ]
    axis.plot([at for at, _ in seen], [value for _, value in seen], ".", ms=3, alpha=0.4, color=GREY)
    bins: dict[int, list[float]] = {}
    for at, value in seen:
        bins.setdefault(int(at // (2 * BIN_SECONDS)), []).append(value)
    times = [(index + 0.5) * 2 * BIN_SECONDS for index in sorted(bins)]
    for share, colour in ((0.5, BLUE), (0.95, ORANGE)):
        values = [percentile(bins[index], share) or 0.0 for index in sorted(bins)]
        axis.plot(times, values, color=colour, label=f"TTFT p{share * 100:.0f} (client)")
    limit = run.target.model.slo.ttft.seconds
    axis.axhline(limit, color=RED, ls="--", lw=1, label=f"SLO {limit:g} s")
    axis.set_ylabel("seconds")


def _autoscaler(axis: Axes, run: Run) -> None:
    for name, colour in zip(TRIGGERS, (BLUE, ORANGE, RED, PURPLE), strict=True):
        _line(axis, run, _signal(name), colour, f"wanted: {_trigger(name)}")
    axis.set_ylabel("replicas wanted")
    # Requests are ten times as many as the replicas that they call for: an axis of their own.
    queue = axis.twinx()
    _line(queue, run, _signal(QUEUE), GREY, "queue (requests, right)")
    queue.grid(visible=False)
    queue.set_ylim(bottom=0)
    if queue.get_legend_handles_labels()[0]:
        queue.legend(loc="lower left", bbox_to_anchor=(1.03, 0.0), fontsize=8, frameon=False)


def _trigger(signal: str) -> str:
    return signal.split(":")[1].removeprefix("scaling_").replace("_", " ")


def _capacity(axis: Axes, run: Run) -> None:
    _line(axis, run, lambda sample: sample.desired, ORANGE, "replicas desired")
    _line(axis, run, lambda sample: sample.ready, GREEN, "replicas ready")
    _line(axis, run, lambda sample: len(sample.nodes), GREY, "nodes")
    axis.set_ylabel("count")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))


def _signal(name: str) -> Callable[[Sample], float | None]:
    return lambda sample: None if sample.signals is None else sample.signals.get(name)


def _line(axis: Axes, run: Run, value: Callable[[Sample], float | None], colour: str, label: str) -> None:
    points = [(sample.at, value(sample)) for sample in run.samples]
    if any(height is not None for _, height in points):
        # NaN leaves a gap where nothing was known.
        heights = [float("nan") if height is None else height for _, height in points]
        axis.step([at for at, _ in points], heights, where="post", color=colour, label=label)


def _phases(axis: Axes, run: Run) -> None:
    start = 0.0
    for index, phase in enumerate(run.scenario.phases):
        if index % 2:
            axis.axvspan(start, start + phase.seconds, color=GREY, alpha=0.08, lw=0)
        start += phase.seconds
