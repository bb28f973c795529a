"""What a fault did, from the run's samples and outcomes. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.load.client import Outcome
from local.load.observe import Sample
from local.load.signals import TRIGGERS
from local.load.statistics import failures

QUIET_SECONDS = 15.0
"""Everything must have been well for this long before a fault counts as over: the autoscaler looks every 5 s
here, and Prometheus is asked with a lookback that hides the first missing scrapes."""


@dataclass(frozen=True)
class Finding:
    """One fault and what came of it.

    recovered: seconds from the end of the fault (a kill: from the kill) until all was as before and stayed
    so; None if that was not seen. held: see held_while_blind.
    blind_seconds: how long a trigger had no value or the autoscaler said that it does not scale.
    pending_most: replicas that existed and took no requests, because they were starting or leaving.
    """

    name: str
    what: str
    requests: int
    failed: int
    failures: Mapping[str, int]
    recovered: float | None
    blind_seconds: float
    wanted_before: int
    wanted_lowest_blind: int | None
    wanted_highest: int
    ready_lowest: int
    pending_most: int
    held: bool


def blind(sample: Sample, before: Sample) -> bool:
    """Whether the autoscaler lacks something that it had before."""
    known = {name for name in TRIGGERS if name in (before.signals or {})}
    if sample.signals is None or not known <= sample.signals.keys():
        return True
    autoscaler = sample.autoscaler
    if before.autoscaler is None or autoscaler is None:
        return before.autoscaler is not None
    return autoscaler.active is False or autoscaler.metrics_without_value > 0


def held_while_blind(samples: Sequence[Sample], before: Sample) -> bool:
    """Whether no stretch of blindness ever asked for fewer replicas than there were when it began.

    What was asked for before it is no measure: a scale-in decided with open eyes is none of its doing.
    """
    reference = samples[0].wanted
    for sample in samples:
        if not blind(sample, before):
            reference = sample.wanted
        elif sample.wanted < reference:
            return False
    return True


def well(sample: Sample, before: Sample) -> bool:
    """Whether nothing is worse than before the fault."""
    return sample.ready >= min(before.ready, sample.desired) and not blind(sample, before)


def trouble(
    samples: Sequence[Sample], outcomes: Sequence[Outcome], before: Sample, since: float
) -> float | None:
    """When something was last not well, in seconds of the run; None if it always was since `since`."""
    times = [sample.at for sample in samples if sample.at > since and not well(sample, before)]
    times += [
        outcome.finished for outcome in outcomes if outcome.failure is not None and outcome.finished > since
    ]
    return max(times, default=None)


@dataclass(frozen=True)
class Window:
    """The time of one fault in seconds of the run. absent: when what was broken was last seen not to run."""

    injected: float
    undone: float
    watched_until: float
    absent: float | None
    over: bool


def finding(
    name: str, what: str, samples: Sequence[Sample], outcomes: Sequence[Outcome], window: Window
) -> Finding:
    before = [sample for sample in samples if sample.at <= window.injected][-1]
    during = [sample for sample in samples if window.injected < sample.at <= window.watched_until]
    asked = [
        outcome
        for outcome in outcomes
        if outcome.finished > window.injected and outcome.sent <= window.watched_until
    ]
    unseeing = [sample for sample in during if blind(sample, before)]
    last = max(
        (at for at in (trouble(during, asked, before, window.injected), window.absent) if at is not None),
        default=window.undone,
    )
    lowest_blind = min((sample.wanted for sample in unseeing), default=None)
    return Finding(
        name=name,
        what=what,
        requests=len(asked),
        failed=sum(1 for outcome in asked if outcome.failure is not None),
        failures=failures(asked),
        recovered=max(0.0, last - window.undone) if window.over else None,
        blind_seconds=_seconds(unseeing, during),
        wanted_before=before.wanted,
        wanted_lowest_blind=lowest_blind,
        wanted_highest=max((sample.wanted for sample in during), default=before.wanted),
        ready_lowest=min((sample.ready for sample in during), default=before.ready),
        pending_most=max((len(sample.replicas) - sample.ready for sample in during), default=0),
        held=held_while_blind([before, *during], before),
    )


def _seconds(some: Sequence[Sample], all_of_them: Sequence[Sample]) -> float:
    """The time that `some` samples stand for."""
    if len(all_of_them) < 2:
        return 0.0
    return len(some) * (all_of_them[-1].at - all_of_them[0].at) / (len(all_of_them) - 1)
