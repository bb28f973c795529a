"""The picture: how many requests had their first token after how long, per case and policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from local.affinity_benchmark.measure import Measured
from local.affinity_benchmark.report import of
from local.affinity_benchmark.workload import CASES
from local.load.picture import BLUE, GREEN, GREY, ORANGE

TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)
COLORS = {"least request": ORANGE, "hash": BLUE, "hash, 200 %": GREEN, "hash, no bound": GREY}


def draw(results: Sequence[Measured], file: Path) -> None:
    """Writes a PNG."""
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False}):
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        axes = figure.subplots(1, len(CASES), sharey=True, squeeze=False)[0]
        for axis, case in zip(axes, CASES, strict=True):
            for result in of(results, case):
                seconds = sorted(result.first_token)
                shares = [(index + 1) / len(seconds) for index in range(len(seconds))]
                axis.plot(seconds, shares, label=result.policy, color=COLORS[result.policy])
            axis.set_xscale("log")
            axis.set_title(fill(case.title, 45), fontsize=8)
            axis.xaxis.set_major_locator(FixedLocator(TICKS))
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xlabel("seconds to the first token")
        axes[0].set_ylabel("share of requests")
        axes[0].set_ylim(0, 1)
        axes[0].legend(loc="lower right", fontsize=8)
        figure.suptitle("Real: Envoy, prefix cache. Imitated: GPUs, step times estimated", fontsize=9)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=110)
