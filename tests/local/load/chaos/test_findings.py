from __future__ import annotations

import pytest

from local.load.chaos.faults import faults
from local.load.chaos.findings import Window, blind, finding, held_while_blind, well
from local.load.chaos.report import markdown, observed, row
from local.load.scenario import SCENARIOS
from local.load.signals import TRIGGERS
from tests.local.load.samples import outcome, replica, run, sample

TWO = [replica("a"), replica("b")]
BEFORE = sample(10.0, TWO, desired=2)


@pytest.mark.parametrize(
    "seen",
    [
        sample(11.0, TWO, desired=2, prometheus=False),
        sample(11.0, TWO, desired=2, missing=TRIGGERS[:1]),
        sample(11.0, TWO, desired=2, active=False),
        sample(11.0, TWO, desired=2, without_value=1),
    ],
)
def test_blind_when_anything_that_decides_is_missing(seen):
    assert blind(seen, BEFORE)
    assert not well(seen, BEFORE)


def test_a_signal_that_was_never_there_is_not_missed():
    before = sample(10.0, missing=TRIGGERS[:1])
    assert not blind(sample(11.0, missing=TRIGGERS[:1]), before)


def test_well_needs_the_replicas_that_were_ready():
    assert well(sample(11.0, TWO, desired=2), BEFORE)
    assert not well(sample(11.0, TWO[:1], desired=2), BEFORE)


def test_scaling_in_with_open_eyes_is_well():
    assert well(sample(11.0, TWO[:1], desired=1), BEFORE)


def test_finding_of_a_fault_that_is_survived():
    samples = [
        BEFORE,
        sample(12.0, TWO[:1], desired=2),
        sample(14.0, TWO[:1], desired=2, prometheus=False),
        sample(16.0, TWO, desired=2),
        sample(30.0, TWO, desired=2),
    ]
    outcomes = [
        outcome(0, at=10.5, failure="cut off", first_token=0.1, gap=0.0),
        outcome(1, at=17.0),
        outcome(2, at=2.0),
    ]
    found = finding("engine", "kill", samples, outcomes, Window(10.0, 10.0, 30.0, None, over=True))
    assert (found.requests, found.failed, found.failures) == (2, 1, {"cut off": 1})
    assert found.recovered == 4.0
    assert found.held
    assert found.wanted_lowest_blind == 2
    assert found.ready_lowest == 1


def test_finding_of_replicas_taken_away_while_blind():
    samples = [BEFORE, sample(12.0, TWO[:1], desired=1, prometheus=False), sample(30.0, TWO[:1], desired=1)]
    found = finding("prometheus", "stop", samples, [], Window(10.0, 11.0, 30.0, 29.0, over=False))
    assert not found.held
    assert found.recovered is None
    assert "taken away while blind" in observed(found)
    assert "| not seen |" in row(found)


def test_a_scale_in_before_the_blindness_is_not_blamed_on_it():
    blind_at_two = sample(14.0, TWO, desired=2, prometheus=False)
    three = sample(10.0, [*TWO, replica("c")], desired=3)
    assert held_while_blind([three, sample(12.0, TWO, desired=2), blind_at_two], three)
    assert not held_while_blind([three, blind_at_two], three)


def test_report_has_a_row_for_each_finding():
    found = finding("a", "what", [BEFORE, sample(12.0, TWO, desired=2)], [], Window(10, 10, 12, None, True))
    text = markdown(run([], [BEFORE]), [found, found])
    assert text.count("| what | 0 of 0 | under 1 s | 0 s | 2, never blind | nothing else |") == 2


def test_every_fault_has_a_name_of_its_own_and_ends():
    every = faults(blind_seconds=30)
    names = {fault.name for fault in every}
    assert len(names) == len(every)
    assert {"engine", "stager", "no-metrics"} <= names
    assert all(0 <= fault.hold_seconds <= 60 for fault in every)
    assert (SCENARIOS / "surge.yaml").exists()
