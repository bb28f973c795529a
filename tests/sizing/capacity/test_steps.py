from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.capacity.batch import Requests
from sizing.capacity.steps import batch_at, batch_of_share, step_seconds
from sizing.capacity.timing import StepTime

SHAPE = Requests(1000, 100, 1.0, 0.05)

TIMINGS = st.builds(
    StepTime,
    alpha_ms=st.floats(0.5, 40),
    beta_ms=st.floats(0, 0.3),
    gamma_ms=st.floats(0, 1e-3),
    basis=st.just("measured"),
    source=st.just("test"),
    sequence_ms=st.floats(0.001, 0.2),
    experts_ms=st.floats(0, 150),
    unread=st.floats(0.5, 0.98),
)


def test_the_mean_step_by_hand():
    timing = StepTime(2.0, 0.01, 1e-4, "measured", "test", sequence_ms=0.05, experts_ms=8.0, unread=0.5)
    # S = 0.01 x 1100 / 101 + 1e-4 x 1050 + 0.05 = 0.2639 ms; three requests leave 1/8 of the experts unread.
    assert step_seconds(timing, 3, SHAPE) * 1000 == pytest.approx(2 + 8 * 7 / 8 + 3 * 0.2639, abs=1e-3)


@given(TIMINGS, st.floats(0.001, 2000))
def test_the_batch_of_a_time_is_the_inverse_of_the_time_of_a_batch(timing: StepTime, batch: float):
    found = batch_at(timing, step_seconds(timing, batch, SHAPE), SHAPE)
    assert found == pytest.approx(batch, rel=1e-6, abs=1e-6)


@given(TIMINGS, st.floats(0.0001, 0.9))
def test_a_time_that_an_empty_step_does_not_meet_has_no_batch(timing: StepTime, share: float):
    assert batch_at(timing, share * timing.alpha_ms / 1000, SHAPE) < 0


@given(TIMINGS, st.floats(1, 1000), st.floats(0.1, 0.95))
def test_a_share_of_the_rate(timing: StepTime, batch: float, share: float):
    def rate(size: float) -> float:
        return size / step_seconds(timing, size, SHAPE)

    found = batch_of_share(timing, batch, SHAPE, share)
    assert 0 < found < batch
    assert rate(found) == pytest.approx(share * rate(batch), rel=1e-6)


@given(TIMINGS, st.floats(0, 500), st.floats(0.1, 500))
def test_more_requests_never_take_less_time(timing: StepTime, batch: float, more: float):
    assert step_seconds(timing, batch + more, SHAPE) > step_seconds(timing, batch, SHAPE)
