"""The run while it goes on: a live table in a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.load.report import Report
from local.load.run import Run
from local.load.signals import QUEUE, TRIGGERS
from local.load.statistics import failures, percentile

WINDOW_SECONDS = 15.0
"""What rates and percentiles of the live table look back on."""

LINE_SECONDS = 5.0


@dataclass(frozen=True)
class Moment:
    """What the table shows, in words ready for a cell."""

    seconds: str
    phase: str
    offered: str
    served: str
    ttft: str
    in_flight: str
    queue: str
    triggers: str
    replicas: str
    nodes: str
    failed: str

    def line(self) -> str:
        return (
            f"{self.seconds:>5} {self.phase:<12} {self.offered} in, {self.served} out req/s | "
            f"TTFT {self.ttft} | "
            f"in flight {self.in_flight}, queue {self.queue}, wants {self.triggers} | "
            f"replicas {self.replicas}, nodes {self.nodes} | failed {self.failed}"
        )


def moment(run: Run) -> Moment:
    now = run.now
    since = now - WINDOW_SECONDS
    window = min(max(now, 1.0), WINDOW_SECONDS)
    arrived = sum(1 for arrival in run.arrivals if since < arrival.at <= now)
    finished = [outcome for outcome in run.outcomes if outcome.finished > since]
    first_tokens = [
        outcome.first_token
        for outcome in finished
        if outcome.failure is None and outcome.first_token is not None
    ]
    sample = run.samples[-1] if run.samples else None
    signals = None if sample is None else sample.signals
    autoscaler = None if sample is None else sample.autoscaler
    return Moment(
        seconds=f"{now:.0f} s",
        phase=run.phase(),
        offered=f"{arrived / window:.1f}",
        served=f"{len(finished) / window:.1f}",
        ttft=f"{_seconds(percentile(first_tokens, 0.5))} / {_seconds(percentile(first_tokens, 0.95))}",
        in_flight=str(run.in_flight),
        queue="blind" if signals is None else _number(signals.get(QUEUE)),
        triggers="-" if signals is None else " ".join(_number(signals.get(name)) for name in TRIGGERS),
        replicas="-" if sample is None else f"{sample.ready} ready / {sample.desired} desired",
        nodes="-" if sample is None else str(len(sample.nodes)),
        failed=str(sum(failures(run.outcomes).values()))
        + ("" if autoscaler is None or autoscaler.active is not False else " (autoscaler not active)"),
    )


def live_table(at: Moment) -> Table:
    table = Table(
        "time", "phase", "offered/s", "served/s", "TTFT p50 / p95", "in flight", "queue", "triggers",
        "replicas", "nodes", "failed",
    )  # fmt: skip
    table.add_row(
        at.seconds, at.phase, at.offered, at.served, at.ttft, at.in_flight, at.queue, at.triggers,
        at.replicas, at.nodes, at.failed,
    )  # fmt: skip
    return table


@contextmanager
def shown(console: Console) -> Iterator[Callable[[Run], None]]:
    """A function to call after every sample."""
    if not console.is_terminal:
        yield _lines(console)
        return
    # Refreshed by hand: a thread of its own would take the generator's time at moments nobody chose.
    with Live(console=console, auto_refresh=False) as live:
        yield lambda run: live.update(live_table(moment(run)), refresh=True)


def _lines(console: Console) -> Callable[[Run], None]:
    printed = -LINE_SECONDS

    def tick(run: Run) -> None:
        nonlocal printed
        if run.now - printed >= LINE_SECONDS:
            printed = run.now
            console.print(moment(run).line(), highlight=False)

    return tick


def summary(result: Report) -> Table:
    """What a person wants to know at the end."""
    table = Table("what", "value", title=f"{result.scenario} on {result.model}")
    for phase in result.phases:
        table.add_row(
            f"{phase.name}: requests, rate, TTFT p50 / p95",
            f"{phase.requests}, {phase.requests_per_second:.2f}/s, "
            f"{_seconds(phase.ttft.p50)} / {_seconds(phase.ttft.p95)}",
        )
    table.add_section()
    share = result.attainment
    first, between = result.slo["ttft_seconds"], result.slo.get("itl_seconds")
    if between is None:
        table.add_row(f"kept TTFT {first:g} s", _share(share.ttft))
    else:
        table.add_row(
            f"kept TTFT {first:g} s, ITL {between:g} s, both",
            f"{_share(share.ttft)}, {_share(share.itl)}, {_share(share.joint)}",
        )
    reasons = ", ".join(f"{count} {reason}" for reason, count in result.failures.items())
    table.add_row(
        "failed requests", f"{result.failed} of {result.requests}" + (f" ({reasons})" if reasons else "")
    )
    table.add_section()
    answer = result.reaction
    for name, value in (
        ("first queued request", answer.first_queued),
        ("decision", answer.decision),
        ("node created", answer.node_created),
        ("node ready", answer.node_ready),
        ("new replica ready", answer.replica_ready),
    ):
        table.add_row(f"{name}: after the rise, after the first queued", _both(value, answer.first_queued))
    table.add_row("from the burst's end to the state before", _seconds(result.returned_after))
    table.add_row(
        "replicas, nodes: before, largest, after",
        f"{result.replicas_before}, {result.replicas_largest}, {result.replicas_after}; "
        f"{result.nodes_before}, {result.nodes_largest}, {result.nodes_after}",
    )
    table.add_section()
    seen = result.scrape_coverage
    table.add_row(
        "seconds in which a trigger, a current value, ScalingActive was missing",
        f"{seen.trigger_missing}, {seen.metric_without_value}, {seen.not_active} of {seen.samples}",
    )
    table.add_section()
    spent = result.cost
    table.add_row("replica-hours", f"{spent.replica_hours:.3f}")
    table.add_row("GPU-hours used, billed", f"{spent.gpu_hours_used:.3f}, {spent.gpu_hours_billed:.3f}")
    table.add_row(f"dollars (prices of {spent.prices_as_of})", f"{spent.usd:.3f}")
    table.add_section()
    table.add_row(
        "generator late p99, largest",
        f"{_seconds(result.validity.late_p99)}, {_seconds(result.validity.late_largest)}",
    )
    table.add_row("CPU time of this client", f"{result.client_cpu_seconds:.1f} s")
    table.add_row("valid", "yes" if result.valid else "[red]NO[/red]: " + "; ".join(result.validity.problems))
    return table


def _both(value: float | None, queued: float | None) -> str:
    """Seconds since the rise, and since the first request had to wait."""
    since = None if value is None or queued is None else value - queued
    return f"{_seconds(value)}, {'-' if since is None else f'{since:+.1f} s'}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if value == round(value) else f"{value:.1f}"
