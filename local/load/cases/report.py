"""The cases side by side, as a document and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from local.load.cases.variations import Case
from local.load.report import Report, busiest_phase, phase_starts
from local.load.run import Run
from sizing.hardware.machines import MACHINES

HEAD = """# Where more capacity comes from, and how long it takes

Written by `make cases`; do not edit. {date}, local cluster; seconds from the step in load (from zero: from
the first request). Machines take {node_startup} s to boot here, and engines start in a twentieth of their
real time: on a cloud both are longer, and the order is the same. *Idle cost* is that of the machines which
stand there before the load, at on-demand list prices. *In time* is the share of first tokens within the
objective.

| case | decision | machine ready | replica ready | first TTFT | slowest | p95 | in time | failed | idle |
|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Measured:
    """One case. Times in seconds from the step; None for what did not happen. ttft_*: of requests since."""

    name: str
    what: str
    requests: int
    failed: int
    retried: int
    valid: bool
    decision: float | None
    node_ready: float | None
    replica_ready: float | None
    first_request_ttft: float | None
    ttft_p95: float | None
    ttft_largest: float | None
    ttft_attainment: float | None
    idle_usd_per_hour: float


def measured(case: Case, run: Run, result: Report) -> Measured:
    phase = result.phases[busiest_phase(run)]
    step = phase_starts(run)[busiest_phase(run)]
    after = sorted(
        (outcome for outcome in run.outcomes if outcome.arrival.at >= step), key=lambda row: row.arrival.at
    )
    waits = [outcome.first_token for outcome in after if outcome.first_token is not None]
    return Measured(
        name=case.name,
        what=case.what,
        requests=result.requests,
        failed=result.failed,
        retried=result.retried,
        valid=result.valid,
        decision=result.reaction.decision,
        node_ready=result.reaction.node_ready,
        replica_ready=result.reaction.replica_ready,
        first_request_ttft=after[0].first_token if after else None,
        ttft_p95=phase.ttft.p95,
        ttft_largest=max(waits, default=None),
        ttft_attainment=phase.attainment.ttft,
        idle_usd_per_hour=sum(
            MACHINES[node.machine_type].price_per_hour_usd
            for node in run.samples[0].nodes
            if node.machine_type in MACHINES
        ),
    )


def document(results: Sequence[Measured], node_startup_seconds: int) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "node_startup_seconds": node_startup_seconds,
        "cases": [asdict(result) for result in results],
    }


def markdown(results: Sequence[Measured], node_startup_seconds: int) -> str:
    head = HEAD.format(date=datetime.now(UTC).date().isoformat(), node_startup=node_startup_seconds)
    return head + "".join(map(row, results))


def row(result: Measured) -> str:
    cells = (
        result.what,
        _seconds(result.decision),
        _seconds(result.node_ready),
        _seconds(result.replica_ready),
        _seconds(result.first_request_ttft),
        _seconds(result.ttft_largest),
        _seconds(result.ttft_p95),
        "-" if result.ttft_attainment is None else f"{result.ttft_attainment:.1%}",
        f"{result.failed} of {result.requests}",
        f"{result.idle_usd_per_hour:.2f} $/h",
    )
    return f"| {' | '.join(cells)} |\n"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
