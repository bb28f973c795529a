from __future__ import annotations

import json

import pytest

from local.gateway_benchmark.measure import SHAPES, Measured, Plan
from local.gateway_benchmark.report import document, markdown, rows

PLAN = Plan(rounds=2, connections=4, seconds=1, rate=100, rivals=("vllm-router",))


def measured(name: str, rate: float, latency: float) -> Measured:
    made = Measured(name, memory_mib=[40.0, 50.0])
    for shape in SHAPES:
        made.requests_per_second[shape] = [rate, rate + 2]
        made.per_cpu_second[shape] = [rate * 2, rate * 2]
        made.core_busy[shape] = [0.5, 0.5]
        # The last of three rounds was disturbed.
        made.total[shape] = [(latency,) * 98 + (latency * 2,) * 2] * 2 + [(1.0,) * 100]
        made.first[shape] = [(latency,) * 100] * 3
    return made


RESULTS = [measured("direct", 1000, 0.001), measured("envoy", 500, 0.002), measured("router", 400, 0.003)]


def test_rows_compare_with_direct_access():
    direct, envoy, _ = rows(RESULTS, "whole")
    assert direct.added_p50_ms is None
    assert direct.per_cpu_second is None
    assert envoy.requests_per_second == 501
    assert envoy.added_p50_ms == pytest.approx(1.0)
    assert envoy.added_p99_ms == pytest.approx(2.0)


def test_markdown_says_who_lost():
    text = markdown(PLAN, RESULTS, True, "2026-11-24", "2 cores")
    assert text.count("| envoy | 501 | 1,000 | 50% | 1.00 ms | 2.00 ms | 2.00 ms | 4.00 ms |") == 2
    assert "Per CPU second envoy handles 1.25 times what router does" in text
    other_way = markdown(PLAN, [RESULTS[0], RESULTS[2], RESULTS[1]], True, "2026-11-24", "2 cores")
    assert "Per CPU second router handles 0.80 times what envoy does" in other_way


def test_markdown_says_when_there_was_no_core_of_its_own():
    assert "not bound to a core" in markdown(PLAN, RESULTS[:2], False, "2026-11-24", "1 cores")


def test_document_is_json():
    made = json.loads(json.dumps(document(PLAN, RESULTS, True, "2026-11-24", "2 cores")))
    assert [row["name"] for row in made["shapes"]["whole"]] == ["direct", "envoy", "router"]
