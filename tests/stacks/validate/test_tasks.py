"""Tasks: what a model does, and the fields that describe such a load."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.recording_rules import Throughput
from stacks.load import parse
from stacks.plan import make_plan
from stacks.plan.text import remarks
from tests.stacks.environments import local_values
from tests.stacks.validate.test_cluster import problems

REVISION = "a" * 40
EMBED: dict[str, Any] = {"model": "Qwen/Qwen3-Embedding-0.6B", "task": "embed"}
RERANK: dict[str, Any] = {"model": "Qwen/Qwen3-Reranker-0.6B", "task": "rerank"}


def answering(**changes: Any) -> dict[str, Any]:
    """The local environment with its small model in one that answers in one piece."""
    values = local_values()
    small, large = values["models"]
    for model in values["models"]:
        model.setdefault("revision", REVISION)
    large.setdefault("revision", REVISION)
    for field in ("quantization", "max_output_tokens", "max_num_seqs", "reasoning"):
        small.pop(field, None)
    small.update({"revision": REVISION, "max_model_len": 8192, **EMBED, **changes})
    small["slo"] = {"ttft": {"seconds": 0.5, "objective": 0.99}, "availability": 0.999}
    small["expected_load"] = {"requests_per_second": 20, "prompt_tokens": 400}
    return values


@pytest.mark.parametrize("model", [EMBED, RERANK])
def test_a_model_that_answers_in_one_piece_is_planned(model: dict[str, Any]):
    plan = make_plan(parse(answering(**model), "test"))
    small = plan.models[0]
    assert small.tokens.output_usd is None
    assert small.tokens.total_usd > 0
    assert small.fit.fits
    assert any("$ per million tokens" in line for line in remarks(plan))


def test_a_replica_should_compute_the_tokens_of_its_planned_rate():
    values = answering()
    values["models"][0]["expected_load"]["inputs"] = 10
    values["models"][0]["slo"]["ttft"]["seconds"] = 1
    found = make_plan(parse(values, "test")).models[0].recorded
    # docs/tasks.md: 7.44 requests/s of 10 texts of 400 tokens.
    assert isinstance(found.target, Throughput)
    assert found.target.prompt_tokens_per_second == pytest.approx(7.44 * 10 * 400, rel=0.001)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"task": "generate"},
            ["models[0].expected_load.output_tokens: required", "models[0].slo.itl: required",
             'models[0].task: "generate" is not what'],
        ),
        (
            {"max_output_tokens": 100},
            ["models[0].max_output_tokens: means nothing with task embed: remove it"],
        ),
        (
            {"task": "rerank"},
            ['models[0].task: "rerank" is not what Qwen/Qwen3-Embedding-0.6B does: embed. Set that, or '
             "choose a model for rerank, such as Qwen/Qwen3-Reranker-0.6B"],
        ),
        ({"model": "Qwen/Qwen3-8B"}, ['models[0].task: "embed" is not what Qwen/Qwen3-8B does: generate']),
        (
            {"adapters": [{"name": "a", "source": "b/c", "revision": REVISION, "rank": 8}]},
            ["models[0].adapters: means nothing with task embed"],
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_task(changes: dict[str, Any], expected: list[str]):
    found = problems(answering(**changes))
    assert len(found) == len(expected)
    for line, words in zip(found, expected, strict=True):
        assert words in line


def test_tokens_that_nobody_generates():
    values = answering()
    values["models"][0]["slo"]["itl"] = {"seconds": 0.05, "objective": 0.99}
    values["models"][0]["expected_load"]["output_tokens"] = 10
    assert [line.split(":")[0] for line in problems(values)] == [
        "models[0].expected_load.output_tokens",
        "models[0].slo.itl",
    ]


def test_an_answer_that_no_machine_gives_in_time():
    values = answering()
    values["models"][0]["slo"]["ttft"]["seconds"] = 0.002
    (line,) = problems(values)
    assert line.startswith("models[0].slo.ttft.seconds: 0.002 cannot be met: 400 prompt_tokens alone")


def test_a_replica_that_leaves_sends_its_answer():
    values = answering(drain_seconds=1)
    values["models"][0]["slo"]["ttft"]["seconds"] = 5
    (line,) = problems(values)
    assert "models[0].drain_seconds: 1 is shorter than an answer may take" in line


def test_a_replica_has_places_for_the_inputs_of_a_request():
    values = answering(max_queued_requests=50)
    values["models"][0]["expected_load"] = {"requests_per_second": 0.1, "prompt_tokens": 100, "inputs": 100}
    (line,) = problems(values)
    assert "models[0].max_queued_requests: 50 leaves" in line
    assert "brings 100 with each request" in line


def test_many_inputs_cost_more_tokens():
    def price(inputs: int) -> float:
        values = answering(max_queued_requests=1000)
        values["models"][0]["slo"]["ttft"]["seconds"] = 20
        values["models"][0]["expected_load"] = {
            "requests_per_second": 1,
            "prompt_tokens": 400,
            "inputs": inputs,
        }
        return make_plan(parse(values, "test")).models[0].requests_per_second

    assert price(50) < price(1) / 40
