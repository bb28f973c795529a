"""The findings as a table in Markdown, and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from local.load.chaos.findings import Finding
from local.load.run import Run

HEAD = """# What each failure costs

Written by `make chaos`; do not edit. Steady load on the local cluster ({requests} requests in {minutes:.0f}
minutes, {date}) while one part after the other is broken. Kubernetes, KEDA, Karpenter, Prometheus and Envoy
are real; machines and engines are imitated. One gateway pod runs here: a cloud has two or more, behind a load
balancer.

*Recovered* counts from the end of the fault, or from the kill, until every replica, trigger and request is as
before. *Blind* is how long a trigger had no value or the autoscaler said that it does not scale. *Wanted* are
the replicas asked for, before and at the lowest while blind: they must never be taken away then. Of the
staging Jobs *recovered* counts until both have ended well and every file on their claim is what its manifest
says; most of it is the time that Kubernetes waits before it starts a killed Job's next pod.

| fault | failed requests | recovered after | blind for | wanted before, lowest | observed |
|---|---|---|---|---|---|
"""


def document(run: Run, findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "date": datetime.fromtimestamp(run.started_at, UTC).isoformat(timespec="seconds"),
        "seconds": round(run.now, 1),
        "requests": len(run.outcomes),
        "failed": sum(1 for outcome in run.outcomes if outcome.failure is not None),
        "faults": [asdict(found) for found in findings],
    }


def markdown(run: Run, findings: Sequence[Finding]) -> str:
    head = HEAD.format(
        requests=len(run.outcomes),
        minutes=run.now / 60,
        date=datetime.fromtimestamp(run.started_at, UTC).date().isoformat(),
    )
    return head + "".join(row(found) for found in findings)


def row(found: Finding) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in found.failures.items())
    cells = (
        found.what,
        f"{found.failed} of {found.requests}" + (f" ({reasons})" if reasons else ""),
        _recovered(found.recovered),
        f"{found.blind_seconds:.0f} s",
        f"{found.wanted_before}, "
        + ("never blind" if found.wanted_lowest_blind is None else str(found.wanted_lowest_blind)),
        observed(found),
    )
    return f"| {' | '.join(cells)} |\n"


def observed(found: Finding) -> str:
    """The rest in a few words."""
    seen = []
    if not found.held:
        seen.append("**replicas were taken away while blind**")
    if found.wanted_highest > found.wanted_before:
        seen.append(f"{found.wanted_highest} replicas asked for")
    if found.pending_most:
        seen.append(f"up to {found.pending_most} not ready or leaving")
    if found.ready_lowest < found.wanted_before:
        seen.append(f"ready fell to {found.ready_lowest}")
    return ", ".join(seen) if seen else "nothing else"


def _recovered(seconds: float | None) -> str:
    if seconds is None:
        return "not seen"
    return "under 1 s" if seconds < 1 else f"{seconds:.0f} s"
