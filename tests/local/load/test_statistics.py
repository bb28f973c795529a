from __future__ import annotations

import pytest

from local.load.signals import TRIGGERS
from local.load.statistics import attainment, cost, failures, percentile, reaction, scrape_coverage, validity
from sizing.hardware.machines import MACHINES
from tests.local.load.samples import EPOCH, model, node, outcome, replica, sample


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([3.0], 0.95, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.95, 95.0),
        ([float(n) for n in range(1, 101)], 1.0, 100.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float | None):
    assert percentile(values, share) == expected


def test_attainment_counts_each_promise_and_both():
    slo = model().slo
    kept = attainment(
        [
            outcome(first_token=0.5, gap=0.03),
            outcome(first_token=1.0, gap=0.05),
            outcome(first_token=1.1, gap=0.03),
            outcome(first_token=0.5, gap=0.06),
            outcome(failure="cut off"),
        ],
        slo,
    )
    assert (kept.ttft, kept.itl, kept.joint, kept.answered) == (0.6, 0.6, 0.4, 0.8)


def test_a_reply_of_one_token_cannot_miss_the_time_between_tokens():
    assert attainment([outcome(tokens=1)], model().slo).itl == 1.0


def test_nothing_sent_is_no_attainment():
    assert attainment([], model().slo).joint is None


def test_failures_name_the_status_of_refusals():
    rows = [
        outcome(failure="refused", status=503),
        outcome(failure="refused", status=503),
        outcome(failure="cut off"),
        outcome(),
    ]
    assert failures(rows) == {"refused 503": 2, "cut off": 1}


def test_a_late_generator_makes_the_run_invalid():
    assert validity([outcome()] * 200, [0.001] * 100).valid
    late = validity([outcome()] * 98 + [outcome(late=0.2)] * 2, [0.001] * 100)
    assert late.problems == ("2 of 100 requests were sent more than 0.1 s late",)
    slow = validity([outcome()] * 100, [0.001] * 90 + [0.08] * 10)
    assert "80 ms late" in slow.problems[0]


def test_reaction_tells_the_stages_apart():
    samples = [
        sample(0.0),
        sample(10.0, queue=0.0),
        sample(14.0, queue=3.0),
        sample(16.0, queue=5.0, desired=3),
        sample(
            24.0,
            desired=3,
            nodes=[node("n"), node("m", created=17.0, ready=22.0)],
            replicas=[replica("a"), replica("b", created=16.0, ready=None)],
        ),
        sample(
            30.0,
            desired=3,
            nodes=[node("n"), node("m", created=17.0, ready=22.0)],
            replicas=[replica("a"), replica("b", created=16.0, ready=29.0)],
        ),
    ]
    seen = reaction(samples, rise_at=10.0, started_at=EPOCH)
    assert seen.first_queued == 4.0
    assert seen.decision == 6.0
    assert seen.node_created == 7.0
    assert seen.node_ready == 12.0
    assert seen.replica_ready == 19.0


def test_reaction_of_a_cluster_that_does_nothing_is_empty():
    seen = reaction([sample(0.0), sample(5.0)], rise_at=0.0, started_at=EPOCH)
    assert (seen.decision, seen.node_created, seen.replica_ready) == (None, None, None)


def test_cost_bills_machines_with_or_without_a_replica():
    two = [node("n"), node("m")]
    samples = [sample(0.0, nodes=two), sample(1800.0, nodes=two), sample(3600.0, nodes=two)]
    spent = cost(samples, 1, MACHINES)
    assert spent.replica_hours == pytest.approx(1.0)
    assert spent.gpu_hours_used == pytest.approx(1.0)
    assert spent.gpu_hours_billed == pytest.approx(2.0)
    assert spent.usd == pytest.approx(2 * MACHINES["g6.2xlarge"].price_per_hour_usd)
    assert spent.prices_as_of == MACHINES["g6.2xlarge"].as_of.isoformat()


def test_eyesight_counts_what_the_autoscaler_lacked():
    seen = scrape_coverage(
        [
            sample(0.0),
            sample(1.0, prometheus=False),
            sample(2.0, missing=TRIGGERS[1:2]),
            sample(3.0, active=False),
            sample(4.0, active=None),
            sample(5.0, without_value=2),
        ]
    )
    assert (seen.samples, seen.trigger_missing, seen.not_active, seen.metric_without_value) == (6, 2, 2, 1)
