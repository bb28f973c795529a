"""How long a crashed container waits before it starts again: kubelet's CrashLoopBackOff."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackoffPolicy:
    """Seconds. The defaults are kubelet's: 10 s, doubled up to 5 min, forgotten after 10 min of running."""

    first: float = 10.0
    longest: float = 300.0
    forget_after: float = 600.0


class Backoff:
    """The waits of one container: none before the first restart, then first, 2 x first, … longest."""

    def __init__(self, policy: BackoffPolicy) -> None:
        self._policy = policy
        self._wait = 0.0

    def next_wait(self, ran_for: float) -> float:
        """Seconds to wait before the restart of a container that ran for `ran_for` seconds."""
        if ran_for >= self._policy.forget_after:
            self._wait = 0.0
        wait = self._wait
        self._wait = min(max(2 * wait, self._policy.first), self._policy.longest)
        return wait
