"""The result of a run as one JSON document, and as lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from local.load.client import Outcome
from local.load.run import Run
from local.load.statistics import (
    Attainment,
    Cost,
    Reaction,
    ScrapeCoverage,
    Validity,
    attainment,
    cost,
    failures,
    percentile,
    reaction,
    scrape_coverage,
    validity,
)
from sizing.hardware.machines import MACHINES
from stacks.config import ServiceLevel


@dataclass(frozen=True)
class Latency:
    """Percentiles in seconds; None where no request got so far."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class PhaseResult:
    name: str
    requests: int
    requests_per_second: float
    failed: int
    ttft: Latency
    itl: Latency
    attainment: Attainment


@dataclass(frozen=True)
class Report:
    """All of a run. times are seconds, replicas and nodes those of the model and its pool.

    returned_after: from the end of the burst until replicas and nodes were as before; None if they never
    were. client_cpu_seconds: of this process.
    """

    scenario: str
    model: str
    date: str
    seed: int
    seconds: float
    valid: bool
    validity: Validity
    requests: int
    failed: int
    failures: Mapping[str, int]
    retried: int
    tokens: int
    slo: Mapping[str, float]
    ttft: Latency
    itl: Latency
    attainment: Attainment
    phases: tuple[PhaseResult, ...]
    replicas_before: int
    replicas_largest: int
    replicas_after: int
    nodes_before: int
    nodes_largest: int
    nodes_after: int
    reaction: Reaction
    returned_after: float | None
    scrape_coverage: ScrapeCoverage
    cost: Cost
    client_cpu_seconds: float

    def document(self) -> dict[str, object]:
        return asdict(self)


def report(run: Run) -> Report:
    slo = run.target.model.slo
    outcomes = sorted(run.outcomes, key=lambda outcome: outcome.arrival.number)
    starts = phase_starts(run)
    burst = busiest_phase(run)
    checked = validity(outcomes, run.loop_delays)
    return Report(
        scenario=run.scenario.name,
        model=run.scenario.model,
        date=datetime.fromtimestamp(run.started_at, UTC).isoformat(timespec="seconds"),
        seed=run.scenario.seed,
        seconds=run.now,
        valid=checked.valid,
        validity=checked,
        requests=len(outcomes),
        failed=sum(1 for outcome in outcomes if outcome.failure is not None),
        failures=failures(outcomes),
        retried=sum(1 for outcome in outcomes if outcome.attempts > 1),
        tokens=sum(outcome.tokens for outcome in outcomes),
        slo=_promised(slo),
        ttft=_ttft(outcomes),
        itl=_itl(outcomes),
        attainment=attainment(outcomes, slo),
        phases=tuple(_phase(run, outcomes, phase.name, phase.seconds) for phase in run.scenario.phases),
        replicas_before=len(run.samples[0].replicas) if run.samples else 0,
        replicas_largest=max((sample.ready for sample in run.samples), default=0),
        replicas_after=len(run.samples[-1].replicas) if run.samples else 0,
        nodes_before=len(run.samples[0].nodes) if run.samples else 0,
        nodes_largest=max((len(sample.nodes) for sample in run.samples), default=0),
        nodes_after=len(run.samples[-1].nodes) if run.samples else 0,
        reaction=reaction(run.samples, starts[rising_phase(run)], run.started_at),
        returned_after=_returned_after(run, burst),
        scrape_coverage=scrape_coverage(run.samples),
        cost=cost(run.samples, run.target.gpus, MACHINES),
        client_cpu_seconds=run.cpu_seconds,
    )


def phase_starts(run: Run) -> Sequence[float]:
    starts = [0.0]
    for phase in run.scenario.phases:
        starts.append(starts[-1] + phase.seconds)
    return starts


def busiest_phase(run: Run) -> int:
    """Index of the phase with the highest rate: the burst."""
    rates = [phase.requests_per_second for phase in run.scenario.phases]
    return rates.index(max(rates))


def rising_phase(run: Run) -> int:
    """Index of the first phase with more load than the run begins with; the busiest if there is none."""
    rates = [phase.requests_per_second for phase in run.scenario.phases]
    return next((index for index, rate in enumerate(rates) if rate > rates[0]), busiest_phase(run))


def _returned_after(run: Run, burst: int) -> float | None:
    end = phase_starts(run)[burst + 1]
    first = run.samples[0] if run.samples else None
    for sample in run.samples:
        if first is None or sample.at < end:
            continue
        if len(sample.replicas) <= len(first.replicas) and len(sample.nodes) <= len(first.nodes):
            return sample.at - end
    return None


def _phase(run: Run, outcomes: Sequence[Outcome], name: str, seconds: float) -> PhaseResult:
    mine = [outcome for outcome in outcomes if outcome.arrival.phase == name]
    return PhaseResult(
        name=name,
        requests=len(mine),
        requests_per_second=len(mine) / seconds,
        failed=sum(1 for outcome in mine if outcome.failure is not None),
        ttft=_ttft(mine),
        itl=_itl(mine),
        attainment=attainment(mine, run.target.model.slo),
    )


def _ttft(outcomes: Sequence[Outcome]) -> Latency:
    return _latency([outcome.first_token for outcome in outcomes if outcome.first_token is not None])


def _promised(slo: ServiceLevel) -> dict[str, float]:
    between = {} if slo.itl is None else {"itl_seconds": slo.itl.seconds}
    return {"ttft_seconds": slo.ttft.seconds, **between}


def _itl(outcomes: Sequence[Outcome]) -> Latency:
    return _latency([outcome.inter_token for outcome in outcomes if outcome.inter_token is not None])


def _latency(values: Sequence[float]) -> Latency:
    return Latency(percentile(values, 0.5), percentile(values, 0.95), percentile(values, 0.99))
