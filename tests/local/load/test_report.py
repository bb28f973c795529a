from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from local.load.picture import binned, draw
from local.load.report import report
from local.load.table import live_table, moment, shown, summary
from tests.local.load.samples import node, outcome, replica, run, sample


def small_run():
    outcomes = [outcome(number, at=float(number)) for number in range(4)]
    outcomes.append(outcome(4, at=4.0, first_token=None, failure="refused", status=503))
    two = [replica("a"), replica("b", created=3, ready=6)]
    samples = [sample(0.0), sample(4.0, desired=2), sample(8.0, two, [node("n"), node("m", 4, 5)], desired=2)]
    return run(outcomes, [*samples, sample(9.0)])


def test_report_is_one_json_document():
    made = json.loads(json.dumps(report(small_run()).document()))
    assert made["requests"] == 5
    assert made["failed"] == 1
    assert made["failures"] == {"refused 503": 1}
    assert made["slo"] == {"ttft_seconds": 1.0, "itl_seconds": 0.05}
    assert made["attainment"]["joint"] == pytest.approx(0.8)
    assert (made["replicas_before"], made["replicas_largest"], made["replicas_after"]) == (1, 2, 1)
    assert (made["nodes_before"], made["nodes_largest"], made["nodes_after"]) == (1, 2, 1)
    assert made["valid"] is True
    assert made["phases"][0]["name"] == "only"


def test_return_is_measured_from_the_end_of_the_burst():
    # The only phase of the scenario lasts 6 s.
    assert report(small_run()).returned_after == 3.0


def test_summary_tells_failures_and_validity():
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary(report(small_run())))
    text = console.export_text()
    console.file.close()
    assert "1 of 5 (1 refused 503)" in text
    assert "1, 2, 1; 1, 2, 1" in text
    assert "yes" in text


def test_live_table_shows_what_the_autoscaler_sees():
    made = moment(run([], [sample(9.0, desired=3, queue=7.0)]))
    assert made.queue == "7"
    assert made.replicas == "1 ready / 3 desired"
    assert made.triggers == "1 1 1 1"
    assert live_table(made).row_count == 1


def test_live_table_says_when_nobody_can_see():
    assert moment(run([], [sample(9.0, prometheus=False)])).queue == "blind"
    assert moment(run([], [sample(9.0, active=False)])).failed == "0 (autoscaler not active)"


def test_without_a_terminal_a_line_now_and_then(capsys: pytest.CaptureFixture[str]):
    with shown(Console(force_terminal=False, width=200)) as tick:
        tick(run([], [sample(0.0)], seconds=1.0))
        tick(run([], [sample(0.0)], seconds=2.0))
        tick(run([], [sample(0.0)], seconds=7.0))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_picture_is_drawn(tmp_path: Path):
    file = tmp_path / "docs" / "run.png"
    draw(small_run(), file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_bins_are_rates():
    assert binned([0.1, 1.0, 4.9, 5.0, 11.0], seconds=10.0, width=5.0) == pytest.approx([0.6, 0.2])
