from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from local.gateway_benchmark.access import jwks
from local.gateway_benchmark.cost.commits import commit_of, rendered, unpack
from local.gateway_benchmark.cost.documents import http_filters, manager
from local.gateway_benchmark.cost.left_out import LEFT_OUT, without_filters, without_setting
from local.gateway_benchmark.cost.report import BEGIN, END, Result, document, into_page, markdown, spread
from local.gateway_benchmark.cost.slices import Costs, Slices, Variant, compare, turn
from local.gateway_benchmark.cpu import cpu_seconds
from local.gateway_benchmark.measure import SHAPES
from local.gateway_benchmark.servers import ServerError, envoy_configuration
from local.paths import ROOT

SLICES = Slices(rounds=3, connections=2, requests=10)


def plain() -> dict[str, object]:
    return json.loads(json.dumps(envoy_configuration(18080, 18081)))


def costs(name: str, *microseconds: float) -> Costs:
    return Costs(name, {shape: list(microseconds) for shape in SHAPES})


RESULT = Result(
    base=costs("4e19ddc", 100, 200, 100),
    today=costs("today", 90, 180, 99),
    again=costs("today again", 90, 180, 99),
    without=[costs("access log", 80, 170, 79)],
)


def test_ratios_are_those_of_each_round():
    today, again, (log,) = RESULT.rows("whole")
    assert today.ratio.median == pytest.approx(0.9)
    assert again.ratio.median == 1
    assert log.difference.median == pytest.approx(10)


def test_one_disturbed_round_moves_no_median():
    assert spread([1, 1, 1, 1, 100]).median == 1


def test_report_has_every_figure():
    text = markdown(RESULT, SLICES, "2026-12-01", "2 cores")
    assert "| whole replies | 100.0 us | 99.0 us | **0.900 (0.900 to 0.945)** |" in text
    assert "| access log | +10.0 us (+10.0 to +15.0) |" in text
    figures = json.loads(json.dumps(document(RESULT, SLICES, "2026-12-01", "2 cores")))
    assert figures["streamed"]["today"]["ratio"]["median"] == pytest.approx(0.9)
    assert [part["name"] for part in figures["whole"]["parts"]] == ["access log"]


def test_page_keeps_what_was_written_by_hand():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert into_page(page, f"{BEGIN}\nnew\n{END}") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="must contain the lines"):
        into_page("no marks", "new")


@pytest.mark.parametrize("count", [2, 3, 7])
def test_each_configuration_comes_first_and_last_equally_often(count: int):
    orders = [turn(count, number) for number in range(2 * count)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert set(Counter(order[0] for order in orders).values()) == {2}
    assert set(Counter(order[-1] for order in orders).values()) == {2}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_parts_of_todays_configuration_can_be_left_out(name: str):
    """A part that the gateway does not have any more is an error, not a cost of nothing."""
    changed = plain()
    LEFT_OUT[name](changed)
    assert changed != plain()
    with pytest.raises((ServerError, KeyError, ValueError)):
        LEFT_OUT[name](changed)


def test_filters_leave_with_what_routes_say_to_them():
    changed = plain()
    without_filters("arrivals")(changed)
    assert "arrivals" not in {item["name"] for item in http_filters(changed)}
    assert '"arrivals": {' not in json.dumps(changed)
    assert "request_timeout" in manager(changed)


def test_unknown_parts_are_named():
    with pytest.raises(ServerError, match="no HTTP filter called nothing"):
        without_filters("nothing")(plain())
    with pytest.raises(ServerError, match="has no nothing or nought"):
        without_setting("nothing", "nought")(plain())


def test_unknown_commits_are_named():
    with pytest.raises(ServerError, match="no-such-branch is not a commit"):
        commit_of("no-such-branch")


def test_another_commit_renders_with_the_key_of_this_run(tmp_path: Path):
    tree = unpack(commit_of("HEAD"), tmp_path)
    assert tree != ROOT
    found = rendered(tree, 18080, 18081)
    assert json.dumps(jwks()) in json.dumps(found)
    assert "18080" in json.dumps(found)


def test_cpu_time_is_of_work_and_not_of_waiting():
    before = cpu_seconds([os.getpid()])
    time.sleep(0.1)
    slept = cpu_seconds([os.getpid()])
    ends = time.process_time() + 0.1
    while time.process_time() < ends:
        pass
    worked = cpu_seconds([os.getpid()])
    assert slept - before < 0.05
    assert worked - slept == pytest.approx(0.1, abs=0.05)


@pytest.mark.traffic
def test_configurations_are_measured_side_by_side(tmp_path: Path):
    variants = [Variant(name, lambda port, up: rendered(ROOT, port, up)) for name in ("one", "two")]
    found = compare(variants, SLICES, tmp_path, lambda _: None)
    assert [each.name for each in found] == ["one", "two"]
    for each in found:
        for shape in SHAPES:
            assert len(each.microseconds[shape]) == SLICES.rounds
            assert all(5 < cost < 50_000 for cost in each.microseconds[shape])
