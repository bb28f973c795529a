from __future__ import annotations

import asyncio

import pytest

from local.fleet.actions import Outcome
from local.fleet.pod_model import Probe
from local.fleet.probes import Threshold, watch


@pytest.mark.parametrize(
    ("results", "verdicts"),
    [
        ("..", [None, True]),
        (".x.", [None, None, None]),
        ("xxx", [None, None, False]),
        ("..xxx", [None, True, None, None, False]),
        ("xx.xxxx", [None, None, None, None, None, False, False]),
    ],
)
def test_a_verdict_needs_its_number_of_results_in_a_row(results: str, verdicts: list[bool | None]) -> None:
    threshold = Threshold(Probe(success_threshold=2, failure_threshold=3))
    assert [threshold.observe(result == ".") for result in results] == verdicts


def test_a_probe_waits_its_delay_and_keeps_its_period(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        slept: list[float] = []
        failures: list[str] = []
        verdicts: list[bool] = []
        outcomes = iter([Outcome(True), Outcome(False, "refused"), Outcome(True)])

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        async def perform(probe: Probe, timeout: float) -> Outcome:
            assert timeout == 4.0
            return next(outcomes)

        monkeypatch.setattr("local.fleet.probes.asyncio.sleep", sleep)
        probe = Probe(initial_delay_seconds=7, period_seconds=5, timeout_seconds=4, failure_threshold=1)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await watch(probe, perform, failures.append, verdicts.append)
        assert slept[0] == 7
        assert all(4.5 < seconds <= 5 for seconds in slept[1:])
        assert (verdicts, failures) == ([True, False, True], ["refused"])

    asyncio.run(scenario())
