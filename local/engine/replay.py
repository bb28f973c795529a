"""Runs the scheduler against the timing model without waiting: a closed loop of equal requests."""

from __future__ import annotations

from dataclasses import dataclass

from local.engine.scheduler import Limits, Scheduler, Sequence
from sizing.capacity.timing import StepTime


@dataclass(frozen=True)
class Load:
    """`concurrency` callers, each sending its next request when the last one is answered, `rounds` times.

    Every caller's first reply is cut to another length, from one token to the whole, so that from then on the
    callers are spread evenly over the time a request takes, as they are in any long run. That first round,
    where everybody arrives at once, is counted apart.
    """

    prompt_tokens: int
    output_tokens: int
    concurrency: int
    rounds: int


@dataclass(frozen=True)
class Latency:
    """Means, seconds, over the requests of the first round (burst) and of all later rounds; steps and time
    taken."""

    burst_ttft: float
    ttft: float
    tpot: float
    requests: int
    steps: int
    duration: float


@dataclass(slots=True)
class _Sent:
    at: float
    counts: bool
    rounds_left: int
    first_token: float = 0.0


def replay(load: Load, limits: Limits, timing: StepTime) -> Latency:
    """Mean time to first token and per output token of `load`. Prompts share no prefix."""
    scheduler = Scheduler(limits)
    clock = 0.0
    steps = 0
    sent: dict[Sequence, _Sent] = {}
    burst: list[float] = []
    ttfts: list[float] = []
    tpots: list[float] = []
    for caller in range(load.concurrency):
        output = max(1, load.output_tokens * (caller + 1) // load.concurrency)
        sequence = Sequence(load.prompt_tokens, output, [])
        sent[sequence] = _Sent(0.0, counts=False, rounds_left=load.rounds)
        scheduler.add(sequence)
    while scheduler.has_work:
        step = scheduler.schedule()
        clock += timing.seconds(step.computed_tokens, step.context_tokens, len(step.work))
        steps += 1
        result = scheduler.complete(step)
        for sequence in result.advanced:
            if sequence.generated == 1:
                sent[sequence].first_token = clock
        for sequence in result.finished:
            request = sent.pop(sequence)
            if not request.counts:
                burst.append(request.first_token - request.at)
            else:
                ttfts.append(request.first_token - request.at)
                if sequence.output_tokens > 1:
                    tpots.append((clock - request.first_token) / (sequence.output_tokens - 1))
            if request.rounds_left:
                following = Sequence(load.prompt_tokens, load.output_tokens, [])
                sent[following] = _Sent(clock, counts=True, rounds_left=request.rounds_left - 1)
                scheduler.add(following)
    return Latency(
        burst_ttft=sum(burst) / len(burst),
        ttft=sum(ttfts) / len(ttfts),
        tpot=sum(tpots) / len(tpots) if tpots else 0.0,
        requests=len(ttfts),
        steps=steps,
        duration=clock,
    )
