"""Least squares for the step time, and how far its predictions are from measurements."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from local.engine.calibration.points import Point
from local.engine.replay import Load, replay
from local.engine.scheduler import Limits
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


def non_negative_fit(terms: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Coefficients, none negative, that minimise the squared relative error of terms @ coefficients.

    A coefficient that comes out negative is set to zero and the others are fitted again.
    """
    active = list(range(len(terms[0])))
    while True:
        scaled = [[row[index] / value for index in active] for row, value in zip(terms, values, strict=True)]
        size = range(len(active))
        normal = [[sum(row[i] * row[j] for row in scaled) for j in size] for i in size]
        right = [sum(row[i] for row in scaled) for i in size]
        fitted = dict(zip(active, solve(normal, right), strict=True))
        smallest = min(fitted, key=fitted.__getitem__)
        if fitted[smallest] >= 0:
            return [fitted.get(index, 0.0) for index in range(len(terms[0]))]
        active.remove(smallest)


def fit_step_time(points: Sequence[Point]) -> StepTime:
    """alpha, beta and gamma from times per output token: in a steady state that is the mean step."""
    alpha, beta, gamma = non_negative_fit(
        [point.step_terms for point in points], [point.tpot_ms for point in points]
    )
    return StepTime(alpha, beta, gamma, "measured", "")


def mean_step_ms(timing: StepTime, point: Point) -> float:
    one, computed, context = point.step_terms
    return timing.alpha_ms * one + timing.beta_ms * computed + timing.gamma_ms * context


def relative_error(pairs: Iterable[tuple[float, float]]) -> float:
    """Mean of |predicted - measured| / measured."""
    return statistics.fmean(abs(predicted - measured) / measured for predicted, measured in pairs)


def tpot_error(timing: StepTime, points: Sequence[Point]) -> float:
    return relative_error((mean_step_ms(timing, point), point.tpot_ms) for point in points)


def held_out_predictions(points: Sequence[Point]) -> list[tuple[Point, StepTime]]:
    """Each point with a fit to the points of every other concurrency."""
    return [
        (point, timing)
        for concurrency in sorted({point.concurrency for point in points})
        for timing in [fit_step_time([point for point in points if point.concurrency != concurrency])]
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
