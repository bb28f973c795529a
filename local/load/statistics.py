"""Arithmetic of a run: percentiles, attainment of the SLO, reaction times, cost. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from local.load.client import Outcome
from local.load.observe import Sample
from local.load.signals import QUEUE, TRIGGERS
from sizing.hardware.machines import Machine
from stacks.config import ServiceLevel

LATE_SECONDS = 0.1
LATE_SHARE = 0.01
"""A run is invalid if more than 1 % of its requests left over 100 ms late: it was not the load it says."""

DELAY_SECONDS = 0.05
"""The same for tokens: 99th percentile of the event loop's delay. A twentieth of a TTFT SLO of 1 s."""


def percentile(values: Iterable[float], share: float) -> float | None:
    """The nearest-rank percentile, `share` from 0 to 1; None of no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


@dataclass(frozen=True)
class Attainment:
    """Share of requests that kept each promise; a failed request keeps none. None where nothing was sent.

    ITL of a request is its mean time between tokens. joint: both.
    """

    ttft: float | None
    itl: float | None
    joint: float | None
    answered: float | None


def attainment(outcomes: Sequence[Outcome], slo: ServiceLevel) -> Attainment:
    if not outcomes:
        return Attainment(None, None, None, None)
    ttft = [_keeps_ttft(outcome, slo) for outcome in outcomes]
    itl = [_keeps_itl(outcome, slo) for outcome in outcomes]
    joint = [one and other for one, other in zip(ttft, itl, strict=True)]
    answered = [outcome.failure is None for outcome in outcomes]
    return Attainment(*(sum(kept) / len(outcomes) for kept in (ttft, itl, joint, answered)))


def _keeps_ttft(outcome: Outcome, slo: ServiceLevel) -> bool:
    first = outcome.first_token
    return outcome.failure is None and first is not None and first <= slo.ttft.seconds


def _keeps_itl(outcome: Outcome, slo: ServiceLevel) -> bool:
    between = outcome.inter_token
    # A reply of one token has no time between tokens to miss.
    return outcome.failure is None and (between is None or slo.itl is None or between <= slo.itl.seconds)


def failures(outcomes: Iterable[Outcome]) -> Mapping[str, int]:
    """How many requests failed for which reason; a refusal names its status."""
    reasons = Counter(
        f"{outcome.failure} {outcome.status}" if outcome.failure == "refused" else str(outcome.failure)
        for outcome in outcomes
        if outcome.failure is not None
    )
    return dict(reasons.most_common())


@dataclass(frozen=True)
class Validity:
    """Whether the generator kept up. late_*: seconds after the scheduled time; delay_p99: of its loop."""

    late_p50: float | None
    late_p99: float | None
    late_largest: float | None
    delay_p99: float | None
    problems: tuple[str, ...]

    @property
    def valid(self) -> bool:
        return not self.problems


def validity(outcomes: Sequence[Outcome], loop_delays: Sequence[float]) -> Validity:
    late = [outcome.late for outcome in outcomes]
    too_late = sum(1 for value in late if value > LATE_SECONDS)
    delay = percentile(loop_delays, 0.99)
    problems: list[str] = []
    if late and too_late > LATE_SHARE * len(late):
        problems.append(f"{too_late} of {len(late)} requests were sent more than {LATE_SECONDS:g} s late")
    if delay is not None and delay > DELAY_SECONDS:
        problems.append(
            f"the client saw tokens up to {delay * 1000:.0f} ms late (99th percentile; "
            f"{DELAY_SECONDS * 1000:.0f} ms are allowed)"
        )
    return Validity(
        percentile(late, 0.5), percentile(late, 0.99), max(late, default=None), delay, tuple(problems)
    )


@dataclass(frozen=True)
class Reaction:
    """When the cluster answered more load: seconds after its rise; None for what never happened.

    first_queued: the queue signal rises above 0. decision: the autoscaler (or the Deployment, without one)
    wants more replicas than before. node_created, node_ready: the first new machine. replica_ready: the first
    new replica takes traffic.
    """

    rise_at: float
    first_queued: float | None
    decision: float | None
    node_created: float | None
    node_ready: float | None
    replica_ready: float | None


def reaction(samples: Sequence[Sample], rise_at: float, started_at: float) -> Reaction:
    """`rise_at`: seconds after the start of the run, which was at `started_at` seconds since the epoch."""
    before = [sample for sample in samples if sample.at <= rise_at] or list(samples[:1])
    after = [sample for sample in samples if sample.at > rise_at]
    known_nodes = {node.name for sample in before for node in sample.nodes}
    known_replicas = {replica.name for sample in before for replica in sample.replicas}
    desired_before = before[-1].desired if before else 0
    new_nodes = {node.name: node for sample in after for node in sample.nodes if node.name not in known_nodes}
    new_replicas = {
        replica.name: replica
        for sample in after
        for replica in sample.replicas
        if replica.name not in known_replicas and replica.ready is not None
    }
    origin = started_at + rise_at
    nodes_ready = [node.ready for node in new_nodes.values() if node.ready is not None]
    replicas_ready = [replica.ready for replica in new_replicas.values() if replica.ready is not None]
    return Reaction(
        rise_at=rise_at,
        first_queued=_first(after, rise_at, lambda sample: (sample.signals or {}).get(QUEUE, 0.0) > 0),
        decision=_first(after, rise_at, lambda sample: sample.desired > desired_before),
        node_created=_earliest([node.created for node in new_nodes.values()], origin),
        node_ready=_earliest(nodes_ready, origin),
        replica_ready=_earliest(replicas_ready, origin),
    )


def _first(samples: Sequence[Sample], rise_at: float, holds: Callable[[Sample], bool]) -> float | None:
    return next((sample.at - rise_at for sample in samples if holds(sample)), None)


def _earliest(times: Sequence[float], origin: float) -> float | None:
    # The API's times have whole seconds, so an event can seem to precede the rise by less than one.
    return max(0.0, min(times) - origin) if times else None


@dataclass(frozen=True)
class ScrapeCoverage:
    """How well the autoscaler saw: of `samples`, how many had what. All three are 0 in a healthy cluster.

    trigger_missing: a trigger without a value in Prometheus, or no answer from it. not_active: the condition
    ScalingActive is not true. metric_without_value: the HorizontalPodAutoscaler has no current value of one.
    """

    samples: int
    trigger_missing: int
    not_active: int
    metric_without_value: int


def scrape_coverage(samples: Sequence[Sample]) -> ScrapeCoverage:
    scaled = [sample for sample in samples if sample.autoscaler is not None]
    return ScrapeCoverage(
        samples=len(scaled),
        trigger_missing=sum(
            1 for sample in scaled if sample.signals is None or not sample.signals.keys() >= set(TRIGGERS)
        ),
        not_active=sum(1 for sample in scaled if sample.autoscaler and sample.autoscaler.active is not True),
        metric_without_value=sum(
            1 for sample in scaled if sample.autoscaler and sample.autoscaler.metrics_without_value
        ),
    )


@dataclass(frozen=True)
class Cost:
    """What the run used. GPU hours are billed for whole machines, whether a replica is on them or not."""

    replica_hours: float
    gpu_hours_used: float
    gpu_hours_billed: float
    usd: float
    prices_as_of: str


def cost(samples: Sequence[Sample], gpus_per_replica: int, machines: Mapping[str, Machine]) -> Cost:
    """Adds up what stood there from each sample to the next. `machines`: the price list."""
    replica_seconds = gpu_seconds = dollar_seconds = 0.0
    priced: set[str] = set()
    for sample, following in pairwise(samples):
        seconds = following.at - sample.at
        replica_seconds += seconds * len(sample.replicas)
        for node in sample.nodes:
            if node.machine_type in machines:
                machine = machines[node.machine_type]
                gpu_seconds += seconds * machine.accelerator_count
                dollar_seconds += seconds * machine.price_per_hour_usd
                priced.add(machine.as_of.isoformat())
    return Cost(
        replica_hours=replica_seconds / 3600,
        gpu_hours_used=replica_seconds * gpus_per_replica / 3600,
        gpu_hours_billed=gpu_seconds / 3600,
        usd=dollar_seconds / 3600,
        prices_as_of=", ".join(sorted(priced)),
    )
