"""The scaling board: demand, latency, what each trigger wants, and what came of it, on one time axis.

Classic dashboard JSON (schema version 42), which Grafana 10.4 to 13 load from a file or a ConfigMap; a bare
version 2 document is refused there. Only signals of serving/signals.py are drawn: a panel on any other
name is an error when the board is rendered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

from serving.names import INFERENCE_NAMESPACE
from serving.signals import (
    HOLD,
    POOL_LABEL,
    POOL_NODES,
    QUEUE,
    SERVICE_LABEL,
    TTFT_GUARD,
    WAKE,
    WORK,
    signal,
)

UID = "llm-platform-scaling"
DATASOURCE = "datasource"
"""Name of the variable that holds the Prometheus data source: the board fits any Grafana."""

HEIGHT, WIDTH = 7, 24
"""In Grafana's grid units. Full width, so that all panels of a model share one time axis."""


@dataclass(frozen=True)
class BoardModel:
    """A model as the board draws it. ttft_seconds: its objective. max_replicas: the autoscaler's limit."""

    name: str
    node_pool: str
    ttft_seconds: float
    max_replicas: int


@dataclass(frozen=True)
class Line:
    """One series of a panel: a signal, and what its legend says."""

    signal: str
    legend: str


def scaling_board(models: Sequence[BoardModel]) -> str:
    """The board as JSON text, the same for the same models."""
    board = (
        dashboard.Dashboard("LLM serving: scaling")
        .uid(UID)
        .tags(["llm-platform", "scaling"])
        .description(
            "What arrives, how long the first token takes, what each trigger wants, what was started."
        )
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable(DATASOURCE).label("Prometheus").type("prometheus"))
    )
    for model in models:
        board.with_row(dashboard.Row(model.name))
        for panel in _panels(model):
            board.with_panel(panel)
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(board.build())), indent=2) + "\n"


def _panels(model: BoardModel) -> list[timeseries.Panel]:
    demand = _panel(
        model,
        "Demand",
        "Requests that arrive at the gateway, and first tokens that engines deliver. A gap between the two "
        "is a queue that grows, or requests that were refused.",
        "reqps",
        [
            Line("inference:arrivals:rate1m", "arriving"),
            Line("inference:first_tokens:rate2m", "first tokens"),
        ],
    )
    latency = _panel(
        model,
        "Time to first token",
        f"Measured by the engine over two minutes; the line is the objective of {model.ttft_seconds:g} s. "
        "It stops moving in a stall, because only requests that got a token are counted: see the queue.",
        "s",
        [Line("inference:ttft_seconds:p50", "p50"), Line("inference:ttft_seconds:p95", "p95")],
    )
    _limit(latency, model.ttft_seconds)
    queue = _panel(
        model,
        "Requests in engines",
        "Waiting for capacity means that the batch or the KV cache of every replica is full.",
        "short",
        [
            Line("inference:queue_depth_capacity:sum", "waiting for capacity"),
            Line("inference:queue_depth:sum", "waiting"),
            Line("inference:requests_running:sum", "running"),
        ],
    )
    triggers = _panel(
        model,
        "Replicas that each trigger wants",
        "What the autoscaler reads: each trigger is a number of replicas, and the largest wins. "
        "A gap in a line is a blind trigger: the autoscaler then holds.",
        "short",
        [
            Line(QUEUE, "queue depth"),
            Line(WORK, "work in system"),
            Line(TTFT_GUARD, "time-to-first-token guard"),
            Line(HOLD, "hold while blind"),
            Line(WAKE, "wake"),
            Line("inference:desired_replicas:sum", "asked for"),
        ],
    )
    _limit(triggers, model.max_replicas)
    replicas = _panel(
        model,
        "Replicas",
        "Asked for, ready, and still starting; the line is the maximum.",
        "short",
        [
            Line("inference:desired_replicas:sum", "asked for"),
            Line("inference:ready_replicas:sum", "ready"),
            Line("inference:pending_replicas:sum", "starting"),
        ],
    )
    _limit(replicas, model.max_replicas)
    nodes = _timeseries(
        "Nodes",
        f"Machines of pool {model.node_pool}: what is paid for, busy or not.",
        "short",
    ).with_target(_query(f'{signal(POOL_NODES).name}{{{POOL_LABEL}="{model.node_pool}"}}', model.node_pool))
    return [demand, latency, queue, triggers, replicas, nodes]


def _panel(
    model: BoardModel, title: str, description: str, unit: str, lines: Sequence[Line]
) -> timeseries.Panel:
    panel = _timeseries(title, description, unit)
    for line in lines:
        panel.with_target(_query(_selected(line.signal, model), line.legend))
    return panel


def _timeseries(title: str, description: str, unit: str) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DataSourceRef(type_val="prometheus", uid=f"${{{DATASOURCE}}}"))
        .unit(unit)
        .min(0)
        .height(HEIGHT)
        .span(WIDTH)
        # Replicas and nodes change in steps; a slanted line between two samples would show halves.
        .line_interpolation(LineInterpolation.STEP_AFTER)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.RIGHT)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def _limit(panel: timeseries.Panel, value: float) -> None:
    """Draws a line at `value`; what is above it is shaded."""
    panel.thresholds(
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=None, color="transparent"), Threshold(value=value, color="red")])
    ).thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE_AND_AREA))


def _query(expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend)


def _selected(name: str, model: BoardModel) -> str:
    return f'{signal(name).name}{{namespace="{INFERENCE_NAMESPACE}",{SERVICE_LABEL}="{model.name}"}}'
