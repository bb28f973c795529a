"""The comparison as bars: requests per second of CPU time, whole and streamed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from local.gateway_benchmark.measure import SHAPES, Measured
from local.gateway_benchmark.report import rows


def draw(results: Sequence[Measured], path: Path) -> None:
    """Writes the picture, without direct access: nothing stands in between there."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    names = [result.name for result in results[1:]]
    height = 0.8 / len(SHAPES)
    for index, shape in enumerate(SHAPES):
        values = [row.per_cpu_second or 0.0 for row in rows(results, shape)[1:]]
        places = [place + index * height for place in range(len(names))]
        bars = axes.barh(places, values, height, label=f"{shape} replies")
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set_yticks([place + height / 2 for place in range(len(names))], names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("requests per second of CPU time (more is better)")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)
