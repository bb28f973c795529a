from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from local.load.arrivals import TooManyRequests, schedule
from local.load.scenario import SCENARIOS, Lengths, Limits, Phase, Scenario, ScenarioError, load_scenario


def scenario(*phases: Phase, seed: int = 3, burstiness: float = 1.0, requests: int = 100_000) -> Scenario:
    lengths = Lengths(median=100, sigma=0.5, smallest=10, largest=400)
    return Scenario(
        name="test",
        description="test",
        model="chat",
        seed=seed,
        burstiness=burstiness,
        prompt_tokens=lengths,
        output_tokens=lengths,
        phases=phases,
        limits=Limits(requests=requests, request_seconds=10, settle_seconds=0),
    )


def steady(rate: float, seconds: float = 1000) -> Phase:
    return Phase(name="steady", seconds=seconds, requests_per_second=rate)


def test_same_seed_same_requests_other_seed_others():
    one, again, other = (schedule(scenario(steady(2), seed=seed)) for seed in (3, 3, 4))
    assert one == again
    assert one != other


def test_rate_of_each_phase():
    phases = (steady(1, 2000), Phase(name="burst", seconds=1000, requests_per_second=8))
    arrivals = schedule(scenario(*phases))
    counts = {name: sum(1 for row in arrivals if row.phase == name) for name in ("steady", "burst")}
    # Four standard deviations of a Poisson count.
    assert counts["steady"] == pytest.approx(2000, abs=180)
    assert counts["burst"] == pytest.approx(8000, abs=360)
    assert all(row.at < 2000 for row in arrivals if row.phase == "steady")
    assert all(2000 <= row.at < 3000 for row in arrivals if row.phase == "burst")


def test_arrivals_are_in_order_and_numbered():
    arrivals = schedule(scenario(steady(5), steady(1)))
    assert [row.number for row in arrivals] == list(range(len(arrivals)))
    assert sorted(row.at for row in arrivals) == [row.at for row in arrivals]


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 2.0])
def test_burstiness_is_the_coefficient_of_variation(burstiness: float):
    times = [row.at for row in schedule(scenario(steady(10, 3600), burstiness=burstiness))]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert statistics.stdev(gaps) / statistics.mean(gaps) == pytest.approx(burstiness, rel=0.05)


def test_lengths_keep_median_and_bounds():
    tokens = [row.prompt_tokens for row in schedule(scenario(steady(5)))]
    assert statistics.median(tokens) == pytest.approx(100, rel=0.05)
    assert min(tokens) >= 10
    assert max(tokens) == 400


def test_lengths_do_not_depend_on_the_rate():
    slow, fast = (schedule(scenario(steady(rate, 100))) for rate in (1, 3))
    assert [row.output_tokens for row in slow] == [row.output_tokens for row in fast[: len(slow)]]


def test_a_silent_phase_sends_nothing():
    assert schedule(scenario(steady(0))) == ()


def test_too_many_requests_say_so_before_anything_is_sent():
    with pytest.raises(TooManyRequests, match=r"limits\.requests = 10 arrivals"):
        schedule(scenario(steady(5), requests=10))


@pytest.mark.parametrize("name", [file.stem for file in SCENARIOS.glob("*.yaml")])
def test_shipped_scenarios_can_be_scheduled(name: str):
    loaded = load_scenario(name)
    assert loaded.name == name
    silent = all(phase.requests_per_second == 0 for phase in loaded.phases)
    assert (not schedule(loaded)) == silent


def test_unknown_scenario_names_the_known_ones():
    with pytest.raises(ScenarioError, match=r"shipped are burst, embeddings, idle, .*steady"):
        load_scenario("burts")


def test_wrong_scenario_says_where_and_what(tmp_path):
    text = (SCENARIOS / "smoke.yaml").read_text()
    file = tmp_path / "wrong.yaml"
    file.write_text(text.replace("requests_per_second: 2", "requests_per_second: fast"))
    with pytest.raises(ScenarioError, match=r"phases.0.requests_per_second: .*got 'fast'"):
        load_scenario(str(file))
