"""What the rules give in each state of a model, computed by promtool: idle, busy, asleep, blind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashboards.recording_rules import ScaledModel, Throughput
from serving.engines import ENGINES
from serving.engines.vllm import VLLM
from serving.gateway.first_tokens import EDGES
from serving.signals import HOLD, QUEUE, STUCK, TTFT_GUARD, WAKE, WORK
from tests.dashboards.scaled_models import scaled_model
from tests.local.dashboards.promtool import OF_MODEL, Expected, arrivals, check, constant, engine, kubernetes

if TYPE_CHECKING:
    from local.toolchain.obtain import Toolchain

# promtool comes with the cluster's toolchain.
pytestmark = pytest.mark.cluster

Check = Callable[..., None]

ONE_IDLE = {**kubernetes(constant(1), constant(1)), **arrivals(constant(0)), **engine("a")}
TWO_READY = {**kubernetes(constant(2), constant(2)), **arrivals(constant(0))}
TRIGGERS = (QUEUE, WORK, TTFT_GUARD, HOLD)

# 2 first tokens per second, half of them in time: ten times the 5 % that may be late.
LATE = {"in_time": "0+15x60", "all_first_tokens": "0+30x60"}


@pytest.fixture
def rules_give(toolchain: Toolchain, tmp_path: Path) -> Check:
    """rules_give(series, expected..., model=...): what the rules must give."""

    def checked(given: Mapping[str, str], *wanted: Expected, model: ScaledModel | None = None) -> None:
        rules = scaled_model() if model is None else model
        check(toolchain.path("promtool"), tmp_path, rules, given, *wanted)

    return checked


def all_triggers(at: str, value: float | None) -> list[Expected]:
    return [Expected(signal, at, value) for signal in TRIGGERS]


def test_idle_is_zero_from_the_first_scrape_on(rules_give: Check):
    rules_give(ONE_IDLE, *all_triggers("0s", 0), *all_triggers("10m", 0))


def test_a_replica_that_has_requests_and_computes_nothing_is_stuck(rules_give: Check):
    stuck, works = engine("a", running=constant(3)), engine("b", running=constant(3), prompt_tokens="0+9x60")
    queues = engine("c", waiting=constant(1))
    given = {**kubernetes(constant(3), constant(3)), **arrivals(constant(0)), **stuck, **works, **queues}
    rules_give(given, Expected(STUCK, "1m", 0), Expected(STUCK, "10m", 2))
    rules_give(ONE_IDLE, Expected(STUCK, "0s", 0), Expected(STUCK, "10m", 0))


def test_asleep_is_zero(rules_give: Check):
    given = {**kubernetes(constant(0), constant(0)), **arrivals(constant(0))}
    model = scaled_model(minimum=0)
    rules_give(given, *all_triggers("10m", 0), Expected(WAKE, "10m", 0), model=model)


@pytest.mark.parametrize("targets", [{}, {f'up{{{OF_MODEL},pod="a"}}': constant(0)}])
def test_blind_is_absent_and_holds(rules_give: Check, targets: dict[str, str]):
    rules_give(
        {**TWO_READY, **targets},
        *(Expected(signal, "10m", None) for signal in (QUEUE, WORK, TTFT_GUARD)),
        Expected(HOLD, "10m", 2),
    )


def test_a_renamed_metric_is_absent_and_leaves_the_others(rules_give: Check):
    given = {name: values for name, values in ONE_IDLE.items() if "waiting_by_reason" not in name}
    rules_give(given, Expected(QUEUE, "10m", None), Expected(WORK, "10m", 0))


def test_without_kube_state_metrics_nothing_that_needs_it_is_known(rules_give: Check):
    given = {name: values for name, values in ONE_IDLE.items() if not name.startswith("kube_")}
    rules_give(
        given,
        Expected(QUEUE, "10m", 0),
        Expected(WORK, "10m", 0),
        Expected(TTFT_GUARD, "10m", None),
        Expected(HOLD, "10m", None),
    )


def test_series_that_a_router_copies_count_once(rules_give: Check):
    copied = f'{OF_MODEL},server="http://a:8000",pod="router"'
    given = {
        **kubernetes(constant(1), constant(1)),
        **engine("a", running=constant(8)),
        f"vllm:num_requests_running{{{copied}}}": constant(8),
        f"vllm:num_requests_waiting{{{copied}}}": constant(5),
    }
    rules_give(given, Expected(WORK, "5m", 1), Expected("inference:queue_depth:sum", "5m", 0))


def test_work_is_all_requests_over_the_batch_that_is_aimed_at(rules_give: Check):
    given = {**TWO_READY, **engine("a", constant(14), constant(10)), **engine("b", constant(8))}
    rules_give(given, Expected(WORK, "5m", 32 / 8))


def test_work_in_one_piece_is_what_was_computed_over_what_one_replica_is_planned_for(rules_give: Check):
    # 36,000 prompt tokens per second in each of two, of which nothing runs when its step is over.
    tokens = f"0+{36_000 * 15}x60"
    given = {**TWO_READY, **engine("a", prompt_tokens=tokens), **engine("b", prompt_tokens=tokens)}
    rules_give(given, Expected(WORK, "5m", 1.5), model=scaled_model(target=Throughput(48_000.0)))


def test_the_queue_adds_to_the_replicas_in_use(rules_give: Check):
    # a is full, b half full: 1.5 in use; 12 that wait fill 2 more.
    given = {**TWO_READY, **engine("a", constant(14), constant(12)), **engine("b", constant(7))}
    rules_give(given, Expected(QUEUE, "5m", 1.5 + 12 / 6))


def test_a_replica_that_queues_is_full_however_few_it_runs(rules_give: Check):
    # Long prompts have filled its cache.
    given = {**kubernetes(constant(1), constant(1)), **engine("a", constant(5), constant(3))}
    rules_give(given, Expected(QUEUE, "5m", 1 + 3 / 6))


def test_replicas_that_are_loading_multiply_nothing(rules_give: Check):
    busy = engine("a", constant(14), constant(12))
    loading = {**kubernetes(constant(5), constant(1)), **busy}
    alone = {**kubernetes(constant(1), constant(1)), **busy}
    for given in (alone, loading):
        rules_give(given, Expected(QUEUE, "5m", 3), Expected(WORK, "5m", 26 / 8))


def test_hot_replicas_come_on_top_of_the_need(rules_give: Check):
    given = {**kubernetes(constant(1), constant(1)), **engine("a", constant(8))}
    model = scaled_model(warm_replicas=2)
    rules_give(given, Expected(WORK, "5m", 3), Expected(HOLD, "5m", 0), model=model)
    rules_give(ONE_IDLE, Expected(QUEUE, "5m", 2), Expected(WORK, "5m", 2), model=model)


def test_the_guard_adds_half_at_most_and_only_at_the_second_evaluation(rules_give: Check):
    given = {**TWO_READY, **engine("a", **LATE), **engine("b")}
    rules_give(
        given,
        Expected("inference:ttft_burn:ratio_rate2m", "15s", 10),
        Expected(TTFT_GUARD, "15s", 0),
        Expected(TTFT_GUARD, "30s", 3),
        Expected(TTFT_GUARD, "10m", 3),
    )


def test_the_guard_is_proportional_to_a_small_burn(rules_give: Check):
    # 2 of 30 first tokens late: 6.67 % over 5 % is 1.33, and a quarter of it on 2 replicas 0.67.
    given = {**TWO_READY, **engine("a", in_time="0+28x60", all_first_tokens="0+30x60"), **engine("b")}
    rules_give(given, Expected(TTFT_GUARD, "10m", 2 * (1 + 0.25 * (2 / 30) / 0.05)))


def test_the_guard_is_silent_within_the_objective(rules_give: Check):
    given = {**TWO_READY, **engine("a", in_time="0+29x60", all_first_tokens="0+30x60"), **engine("b")}
    rules_give(given, Expected("inference:ttft_burn:ratio_rate2m", "10m", (1 / 30) / 0.05))
    rules_give(given, Expected(TTFT_GUARD, "10m", 0))


def test_the_guard_waits_until_nothing_was_starting_in_its_whole_window_and_a_minute_before(
    rules_give: Check,
):
    # A third replica is asked for at 5 min and ready at 6 min.
    started = kubernetes("2x19 3x40", "2x23 3x36")
    given = {**started, **engine("a", **LATE), **engine("b")}
    rules_give(
        given,
        Expected(TTFT_GUARD, "4m45s", 3),
        Expected(TTFT_GUARD, "5m", 0),
        Expected(TTFT_GUARD, "5m45s", 0),
        Expected(TTFT_GUARD, "7m30s", 0),
        Expected(TTFT_GUARD, "8m30s", 0),
        Expected(TTFT_GUARD, "9m", 4.5),
    )


def test_one_late_request_is_not_a_burn(rules_give: Check):
    one = "0x10 1x50"
    given = {**TWO_READY, **engine("a", all_first_tokens=one), **engine("b")}
    rules_give(given, *(Expected(TTFT_GUARD, at, 0) for at in ("2m30s", "3m", "4m", "6m")))


def test_an_objective_that_is_no_whole_number_finds_its_bucket(rules_give: Check):
    given = {**TWO_READY, **engine("a", **LATE), **engine("b")}
    half = {name.replace('le="0.5"', 'le="2.5"'): values for name, values in given.items()}
    rules_give(
        half,
        Expected("inference:ttft_within_objective:ratio_rate2m", "5m", 0),
        model=scaled_model(ttft_seconds=2.5),
    )


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.25, 0.5, 1, 2.5, 10, 3600])
def test_first_tokens_that_the_gateway_times(
    rules_give: Check, monkeypatch: pytest.MonkeyPatch, seconds: float
):
    metrics = replace(VLLM.metrics, first_token_buckets=None)
    monkeypatch.setitem(ENGINES, "timed", replace(VLLM, name="timed", metrics=metrics))
    idle = {
        name: values
        for name, values in {**TWO_READY, **engine("a"), **engine("b")}.items()
        if "time_to_first_token" not in name
    }
    model = scaled_model(engine="timed", ttft_seconds=seconds)
    # Before the first answer: nothing is late, and no trigger is blind.
    rules_give(idle, Expected("inference:first_tokens:rate2m", "5m", 0), *all_triggers("5m", 0), model=model)
    # As the gateway counts them, with Envoy's edge of half a millisecond: 1 of 2 per second in time.
    edges = {"0.5": 0, **{f"{edge * 1000:g}": 15 if edge >= seconds else 0 for edge in EDGES}, "+Inf": 30}
    edges = {edge if "e" not in edge else f"{float(edge):.0f}": counted for edge, counted in edges.items()}
    labels = 'namespace="gateway",service="chat",pod="gateway-1"'
    timed = {
        f'envoy_gateway_first_token_bucket{{{labels},le="{edge}"}}': f"0+{counted}x60"
        for edge, counted in edges.items()
    }
    rules_give(
        {**idle, **timed},
        Expected("inference:first_tokens:rate2m", "5m", 2),
        Expected("inference:ttft_within_objective:ratio_rate2m", "5m", 0.5),
        Expected("inference:ttft_burn:ratio_rate2m", "5m", 10),
        Expected("inference:ttft_seconds:p95", "5m", 3600),
        model=model,
    )


def test_a_replica_that_cannot_be_read_is_held_after_a_minute(rules_give: Check):
    # Two of three are read; the third was seen for 5 minutes.
    given = {
        **kubernetes(constant(3), constant(3)),
        **engine("a", constant(8)),
        **engine("b", constant(8)),
        f'up{{{OF_MODEL},pod="c"}}': "1x19 0x40",
    }
    rules_give(given, Expected(HOLD, "4m45s", 0), Expected(HOLD, "5m", 3), Expected(WORK, "5m", 2))


def test_a_replica_that_has_just_become_ready_is_not_missed(rules_give: Check):
    given = {**kubernetes("1x19 2x40", "1x19 2x40"), **engine("a")}
    rules_give(given, Expected(HOLD, "5m30s", 0), Expected(HOLD, "7m", 2))


def test_arrivals_wake_one_replica_and_no_more(rules_give: Check):
    given = {**kubernetes(constant(0), constant(0)), **arrivals("0x10 0+3000x40")}
    rules_give(
        given,
        Expected(WAKE, "2m", 0),
        Expected(WAKE, "5m", 1),
        Expected("inference:arrivals:rate1m", "10m", 200),
        Expected(WORK, "5m", 0),
        model=scaled_model(minimum=0),
    )


def test_arrivals_wake_also_while_kube_state_metrics_is_away(rules_give: Check):
    rules_give(
        arrivals("0x10 0+3000x40"),
        Expected(WAKE, "2m", 0),
        Expected(WAKE, "5m", 1),
        Expected(QUEUE, "5m", None),
        model=scaled_model(minimum=0),
    )


def test_a_model_that_has_just_come_up_stays_for_those_who_woke_it(rules_give: Check):
    # One request at 1 min, ready at 6 min, long after its last arrival.
    given = {**kubernetes("0x4 1x55", "0x23 1x36"), **arrivals("0x3 1x56"), **engine("a")}
    rules_give(
        given,
        Expected(WAKE, "1m15s", 1),
        Expected(WAKE, "4m", 0),
        Expected(WAKE, "6m", 1),
        Expected(WAKE, "7m30s", 1),
        Expected(WAKE, "9m", 0),
        model=scaled_model(minimum=0),
    )


def test_tokens_and_latency(rules_give: Check):
    # All of 30 first tokens per interval between 0.5 and 1 s: the median is in the middle.
    given = {**TWO_READY, **engine("a", in_time="0+30x60", all_first_tokens="0+30x60"), **engine("b")}
    tokens = {
        name: "0+1500x60" if "tokens_total" in name and '"a"' in name else values
        for name, values in given.items()
    }
    rules_give(
        tokens,
        Expected("inference:ttft_seconds:p50", "5m", 0.75),
        Expected("inference:ttft_seconds:p95", "5m", 0.975),
        Expected("inference:first_tokens:rate2m", "5m", 2),
        Expected("inference:generation_tokens:rate1m", "5m", 100),
        Expected("inference:prompt_tokens:rate1m", "5m", 100),
    )
