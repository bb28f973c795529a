"""The comparison as a document and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from local.gateway_benchmark.measure import SHAPES, Measured, Plan
from local.load.statistics import percentile

HEAD = """# What the gateway costs

Written by `make gateway-bench`; do not edit. {date}, {machine}.

All servers in front of the same upstream of fixed replies, {rounds} rounds in turns in one run; medians of
the rounds. Absolute figures are this machine's; rows of one table can be compared with each other.

{pinning}

*Per CPU second* divides the requests by the server's own CPU time: it does not depend on what else was the
bottleneck. A core busy below about 95 % says that the client or the upstream was. *Added* latency is the
difference to direct access at {rate:g} requests/s; other processes of the machine show in every p99.
*Memory* is resident, under load. All have one worker and demand a token. Envoy has the gateway's whole
configuration: signed tokens, rights per model, rate limit per team, one reading of each body, routing by
model, body limit, access log. vllm-router compares one API key and uses its cheapest policy, round_robin.
LiteLLM compares its master key, without a database.
"""

PICTURE = """
![requests per CPU second](gateway-benchmark.png)
"""

TABLE = """
## {title}

| | requests/s | requests per CPU second | core busy | added p50 | added p99 | p50 | p99 | memory |
|---|---|---|---|---|---|---|---|---|
"""

TITLES = {
    "whole": "Whole replies (2 kB prompt, 0.4 kB reply)",
    "streamed": "Streamed replies (2 kB prompt, 20 events)",
}


@dataclass(frozen=True)
class Row:
    """One server and shape. Latencies in milliseconds; added_*: over direct access, None for it itself."""

    name: str
    requests_per_second: float
    per_cpu_second: float | None
    core_busy: float | None
    p50_ms: float
    p99_ms: float
    added_p50_ms: float | None
    added_p99_ms: float | None
    memory_mib: float


def rows(results: Sequence[Measured], shape: str) -> list[Row]:
    """The first of the results is direct access, with which the others are compared."""
    found: list[Row] = []
    for result in results:
        p50, p99 = (_milliseconds(result.total[shape], share) for share in (0.5, 0.99))
        direct = found[0] if found else None
        found.append(
            Row(
                name=result.name,
                requests_per_second=median(result.requests_per_second[shape]),
                per_cpu_second=median(result.per_cpu_second[shape]) if direct else None,
                core_busy=median(result.core_busy[shape]) if direct else None,
                p50_ms=p50,
                p99_ms=p99,
                added_p50_ms=p50 - direct.p50_ms if direct else None,
                added_p99_ms=p99 - direct.p99_ms if direct else None,
                memory_mib=max(result.memory_mib),
            )
        )
    return found


def _milliseconds(rounds: Sequence[Sequence[float]], share: float) -> float:
    """Median over the rounds of each round's percentile: one disturbed round does not decide."""
    found = [percentile(seconds, share) for seconds in rounds]
    return median(value for value in found if value is not None) * 1000


def document(
    plan: Plan, results: Sequence[Measured], pinned: bool, date: str, machine: str
) -> dict[str, object]:
    return {
        "date": date,
        "machine": machine,
        "own_core": pinned,
        "plan": asdict(plan),
        "late_arrivals": {result.name: result.late for result in results},
        "shapes": {shape: [asdict(row) for row in rows(results, shape)] for shape in SHAPES},
    }


def markdown(plan: Plan, results: Sequence[Measured], pinned: bool, date: str, machine: str) -> str:
    pinning = (
        "Each server had one core to itself; client and upstream shared another."
        if pinned
        else "Servers were not bound to a core: this system cannot do that, or has one core only."
    )
    text = HEAD.format(date=date, machine=machine, rounds=plan.rounds, rate=plan.rate, pinning=pinning)
    for shape in SHAPES:
        found = rows(results, shape)
        text += TABLE.format(title=TITLES[shape]) + "".join(map(_line, found)) + _verdict(found)
    return text + PICTURE


def _line(row: Row) -> str:
    cells = (
        row.name,
        f"{row.requests_per_second:,.0f}",
        "-" if row.per_cpu_second is None else f"{row.per_cpu_second:,.0f}",
        "-" if row.core_busy is None else f"{row.core_busy:.0%}",
        _shown(row.added_p50_ms),
        _shown(row.added_p99_ms),
        _shown(row.p50_ms),
        _shown(row.p99_ms),
        f"{row.memory_mib:.0f} MiB",
    )
    return f"| {' | '.join(cells)} |\n"


def _shown(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.2f} ms"


def _verdict(found: Sequence[Row]) -> str:
    """Who is ahead, in both figures; a lost comparison is said like a won one."""
    if len(found) < 3:
        return ""
    ours, *others = found[1:]
    return "\n" + "".join(_compared(ours, other) for other in others)


def _compared(ours: Row, other: Row) -> str:
    assert ours.per_cpu_second is not None
    assert other.per_cpu_second is not None
    assert ours.added_p99_ms is not None
    assert other.added_p99_ms is not None
    work = ours.per_cpu_second / other.per_cpu_second
    return (
        f"Per CPU second {ours.name} handles {work:.2f} times what {other.name} does; at p99 it adds "
        f"{ours.added_p99_ms:.2f} ms against {other.added_p99_ms:.2f} ms.\n"
    )
