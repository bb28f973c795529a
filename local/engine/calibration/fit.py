"""Least squares for the step time, and how far its predictions are from measurements."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence

from local.engine.calibration.points import Point
from local.engine.replay import Load, replay
from local.engine.scheduler import Limits
from sizing.capacity.steps import step_seconds
from sizing.capacity.timing import StepTime

UNBOUNDED_BLOCKS = 200_000
"""KV blocks of a replay: 3.2 million tokens, more than any measurement below saturation needs."""

MEASURED_ROUNDS = 10
"""Requests per caller in a measurement, the first of which all arrive at once: ten is what public benchmarks
of vLLM use (num_prompts = 10 x max_concurrency). The mean time to first token contains that burst."""


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Solves a small linear system by Gaussian elimination with pivoting. ZeroDivisionError if it is
    singular."""
    size = len(right)
    rows = [[*matrix[index], right[index]] for index in range(size)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(column + 1, size):
            factor = rows[row][column] / rows[column][column]
            rows[row] = [one - factor * other for one, other in zip(rows[row], rows[column], strict=True)]
    solution = [0.0] * size
    for row in reversed(range(size)):
        known = sum(rows[row][column] * solution[column] for column in range(row + 1, size))
        solution[row] = (rows[row][size] - known) / rows[row][row]
    return solution


def non_negative_fit(
    terms: Sequence[Sequence[float]], values: Sequence[float], weights: Sequence[float] | None = None
) -> list[float]:
    """Coefficients, none negative, that minimise the squared relative error of terms @ coefficients, each
    multiplied by its weight.

    A coefficient that comes out negative is set to zero and the others are fitted again.
    """
    given = [1.0] * len(values) if weights is None else weights
    active = list(range(len(terms[0])))
    while True:
        scaled = [
            [weight * row[index] / value for index in active]
            for row, value, weight in zip(terms, values, given, strict=True)
        ]
        size = range(len(active))
        normal = [[sum(row[i] * row[j] for row in scaled) for j in size] for i in size]
        right = [sum(row[i] * weight for row, weight in zip(scaled, given, strict=True)) for i in size]
        fitted = dict(zip(active, solve(normal, right), strict=True))
        smallest = min(fitted, key=fitted.__getitem__)
        if fitted[smallest] >= 0:
            return [fitted.get(index, 0.0) for index in range(len(terms[0]))]
        active.remove(smallest)


PULL = 0.01
"""How strongly each constant is drawn to the estimate, in measurements that are off by as much: little where
measurements tell, decisive where they do not (one concurrency, one length). From 0.001 to 0.03 the error at
an unseen concurrency stays at 3 % (median), and 96 to 97 of 100 within 25 %."""

FITTED = ("alpha_ms", "experts_ms", "beta_ms", "gamma_ms", "sequence_ms")


def step_terms(point: Point, unread: float) -> dict[str, float]:
    """What each constant is multiplied with in the mean step of a measurement."""
    whole = point.prompt_tokens + point.output_tokens
    return {
        "alpha_ms": 1.0,
        "experts_ms": 1 - unread**point.concurrency,
        "beta_ms": point.concurrency * whole / (point.output_tokens + 1),
        "gamma_ms": point.concurrency * (point.prompt_tokens + point.output_tokens / 2),
        "sequence_ms": point.concurrency,
    }


def fit_step_time(points: Sequence[Point], estimate: StepTime) -> StepTime:
    """Constants from times per output token, the mean step of a steady state, drawn to `estimate`."""
    names = [name for name in FITTED if getattr(estimate, name) > 0]
    each = [step_terms(point, estimate.unread) for point in points]
    terms = [[one[name] for name in names] for one in each]
    values = [point.tpot_ms for point in points]
    weights = [1.0] * len(points)
    for index, name in enumerate(names):
        terms.append([1.0 if other == index else 0.0 for other in range(len(names))])
        values.append(getattr(estimate, name))
        weights.append(PULL**0.5)
    fitted = dict(zip(names, non_negative_fit(terms, values, weights), strict=True))
    return dataclasses.replace(estimate, basis="measured", source="", **fitted)


def mean_step_ms(timing: StepTime, point: Point) -> float:
    return step_seconds(timing, point.concurrency, point) * 1000


def relative_error(pairs: Iterable[tuple[float, float]]) -> float:
    """Mean of |predicted - measured| / measured."""
    return statistics.fmean(abs(predicted - measured) / measured for predicted, measured in pairs)


def tpot_error(timing: StepTime, points: Sequence[Point]) -> float:
    return relative_error((mean_step_ms(timing, point), point.tpot_ms) for point in points)


def held_out_predictions(points: Sequence[Point], estimate: StepTime) -> list[tuple[Point, StepTime]]:
    """Each point with a fit to the points of every other concurrency; none if there is one concurrency."""
    return [
        (point, timing)
        for concurrency in sorted({point.concurrency for point in points})
        if (others := [point for point in points if point.concurrency != concurrency])
        for timing in [fit_step_time(others, estimate)]
        for point in points
        if point.concurrency == concurrency
    ]


def replayed_ms(point: Point, timing: StepTime, step_tokens: int) -> tuple[float, float]:
    """Time to first token and per output token that the emulator's own scheduler gives, ms."""
    limits = Limits(1024, step_tokens, UNBOUNDED_BLOCKS, 16, prefix_caching=False)
    load = Load(point.prompt_tokens, point.output_tokens, point.concurrency, rounds=1)
    latency = replay(load, limits, timing)
    ttft = latency.burst_ttft / MEASURED_ROUNDS + latency.ttft * (1 - 1 / MEASURED_ROUNDS)
    return ttft * 1000, latency.tpot * 1000
