"""Draws every request of a run beforehand: when it is sent, how long its prompt and its reply are.

Times between arrivals follow a Gamma distribution whose coefficient of variation is the scenario's burstiness
(ServeGen, arXiv 2505.09999, finds that it describes production traffic better than Poisson, which is 1).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from local.load.scenario import Lengths, Phase, Scenario


class TooManyRequests(ValueError):
    """The phases ask for more requests than the scenario's limit."""


@dataclass(frozen=True)
class Arrival:
    """One request.

    at: seconds from the start of the run. number: its place in the run, from 0. prompt_tokens: of each of its
    inputs. output_tokens: of its reply, 0 for a model that generates nothing.
    """

    number: int
    at: float
    phase: str
    prompt_tokens: int
    output_tokens: int
    inputs: int = 1


def schedule(scenario: Scenario) -> tuple[Arrival, ...]:
    """All arrivals in order of time. The same scenario and seed always give the same ones.

    Raises TooManyRequests.
    """
    # Times and lengths have generators of their own: a change of the rate leaves the lengths as they were.
    times = random.Random(f"{scenario.seed} times")
    lengths = random.Random(f"{scenario.seed} lengths")
    replies = scenario.output_tokens
    arrivals: list[Arrival] = []
    start = 0.0
    for phase in scenario.phases:
        for offset in _offsets(phase, scenario.burstiness, times):
            if len(arrivals) == scenario.limits.requests:
                raise TooManyRequests(
                    f"scenario {scenario.name}: more than limits.requests = {scenario.limits.requests} "
                    f"arrivals by second {start + offset:.0f} of {scenario.seconds:.0f}: "
                    "raise the limit or lower the rates"
                )
            arrivals.append(
                Arrival(
                    number=len(arrivals),
                    at=start + offset,
                    phase=phase.name,
                    prompt_tokens=_draw(scenario.prompt_tokens, lengths),
                    output_tokens=_draw(replies, lengths) if replies is not None else 0,
                    inputs=scenario.inputs,
                )
            )
        start += phase.seconds
    return tuple(arrivals)


def _offsets(phase: Phase, burstiness: float, source: random.Random) -> Iterator[float]:
    if phase.requests_per_second == 0:
        return
    shape = 1 / burstiness**2
    scale = 1 / (phase.requests_per_second * shape)
    at = source.gammavariate(shape, scale)
    while at < phase.seconds:
        yield at
        at += source.gammavariate(shape, scale)


def _draw(lengths: Lengths, source: random.Random) -> int:
    tokens = round(math.exp(source.gauss(math.log(lengths.median), lengths.sigma)))
    return min(max(tokens, lengths.smallest), lengths.largest)
