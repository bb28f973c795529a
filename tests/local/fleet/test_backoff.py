from __future__ import annotations

from local.fleet.backoff import Backoff, BackoffPolicy


def test_waits_are_kubelets() -> None:
    backoff = Backoff(BackoffPolicy())
    assert [backoff.next_wait(1.0) for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_quiet_minutes_start_over() -> None:
    backoff = Backoff(BackoffPolicy())
    for _ in range(4):
        backoff.next_wait(1.0)
    assert backoff.next_wait(600.0) == 0
    assert backoff.next_wait(1.0) == 10
