"""Startup, readiness and liveness probes: when they run and what their results add up to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from local.fleet.actions import Outcome
from local.fleet.pod_model import Probe


class Threshold:
    """Counts consecutive results of one probe until they say something new."""

    def __init__(self, probe: Probe) -> None:
        self._needed = {True: probe.success_threshold, False: probe.failure_threshold}
        self._last: bool | None = None
        self._count = 0

    def observe(self, succeeded: bool) -> bool | None:
        """The probe's verdict once as many results in a row agree as it asks for, until then None."""
        self._count = self._count + 1 if succeeded == self._last else 1
        self._last = succeeded
        return succeeded if self._count >= self._needed[succeeded] else None


Perform = Callable[[Probe, float], Awaitable[Outcome]]


async def watch(
    probe: Probe,
    perform: Perform,
    failed: Callable[[str], None],
    verdict: Callable[[bool], None],
) -> None:
    """Run a probe for ever: wait `initialDelaySeconds`, then once every `periodSeconds`.

    Args:
        probe: the probe.
        perform: performs it, for at most the given seconds.
        failed: told the reason of each single failure.
        verdict: told each result that has reached its threshold, also when it is no news.
    """
    threshold = Threshold(probe)
    await asyncio.sleep(probe.initial_delay_seconds)
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        outcome = await perform(probe, float(probe.timeout_seconds))
        if not outcome.succeeded:
            failed(outcome.message)
        reached = threshold.observe(outcome.succeeded)
        if reached is not None:
            verdict(reached)
        await asyncio.sleep(max(0.0, began + probe.period_seconds - loop.time()))
