"""Breaks one thing after the other while the load goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from local.load.chaos.faults import Fault
from local.load.chaos.findings import QUIET_SECONDS, Finding, Window, finding, trouble
from local.load.run import SAMPLE_SECONDS, Run

WARM_UP_SECONDS = 150.0
"""At most this long until the replicas have stopped changing."""

STEADY_SECONDS = 20.0


class NotRecovered(Exception):
    """A fault did not heal in its recovery_seconds; what follows would measure its ruins."""


@dataclass
class Experiment:
    """Directs a run. `say` gets a line for each step."""

    faults: Sequence[Fault]
    say: Callable[[str], None]
    findings: list[Finding] = field(default_factory=list)

    async def __call__(self, run: Run) -> None:
        await _until_steady(run)
        self.say(f"steady: {run.samples[-1].ready} replicas ready")
        for fault in self.faults:
            self.say(f"{fault.name}: {fault.what}")
            found = await _examine(run, fault)
            self.findings.append(found)
            self.say(
                f"{fault.name}: {found.failed} of {found.requests} requests failed, recovered after "
                + ("-" if found.recovered is None else f"{found.recovered:.0f} s")
            )
            if found.recovered is None:
                raise NotRecovered(
                    f"{fault.name}: not as before after {fault.recovery_seconds:.0f} s; "
                    "`make status` shows what is left"
                )


def longest(faults: Sequence[Fault]) -> float:
    """Seconds that an experiment takes at most."""
    return WARM_UP_SECONDS + sum(
        fault.hold_seconds + fault.recovery_seconds + QUIET_SECONDS for fault in faults
    )


async def _until_steady(run: Run) -> None:
    """Waits until the replicas asked for have been ready and the same for a while."""
    since = run.now
    while run.now < WARM_UP_SECONDS and run.now - since < STEADY_SECONDS:
        await asyncio.sleep(SAMPLE_SECONDS)
        recent = [sample for sample in run.samples if sample.at >= run.now - STEADY_SECONDS]
        if len({sample.wanted for sample in recent}) > 1 or any(
            sample.ready != sample.wanted for sample in recent
        ):
            since = run.now


async def _examine(run: Run, fault: Fault) -> Finding:
    before = run.samples[-1]
    injected = run.now
    undo = await fault.inject(run)
    undone = run.now
    if undo is not None:
        try:
            await asyncio.sleep(fault.hold_seconds)
        finally:
            await undo()
        undone = run.now
    absent: float | None = None
    quiet_since = undone
    while run.now - undone < fault.recovery_seconds and run.now - quiet_since < QUIET_SECONDS:
        await asyncio.sleep(SAMPLE_SECONDS)
        if not await asyncio.to_thread(fault.present):
            absent = run.now
        last = trouble(run.samples, run.outcomes, before, undone)
        quiet_since = (
            max(undone, *(at for at in (last, absent) if at is not None)) if last or absent else undone
        )
    window = Window(injected, undone, run.now, absent, over=run.now - quiet_since >= QUIET_SECONDS)
    return finding(fault.name, fault.what, run.samples, run.outcomes, window)
