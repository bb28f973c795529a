from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from local.load.cases.report import document, markdown, measured
from local.load.cases.variations import CASES, variation
from local.load.report import report
from local.load.scenario import SCENARIOS
from local.paths import ROOT
from stacks.config import LocalCluster
from stacks.load import from_file
from tests.local.load.samples import outcome, run, sample

ORIGINAL = yaml.safe_load((ROOT / "stacks" / "Pulumi.local.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_variation_is_a_valid_stack_with_one_model(case, tmp_path: Path):
    changed = variation(ORIGINAL, case, "chat", 30)
    (tmp_path / "Pulumi.case.yaml").write_text(yaml.safe_dump(changed))
    stack = from_file("case", tmp_path)
    assert [model.name for model in stack.models] == ["chat"]
    assert len(stack.node_pools) == 1
    assert isinstance(stack.cluster, LocalCluster)
    assert stack.cluster.node_startup_seconds == 30
    assert (SCENARIOS / f"{case.scenario}.yaml").exists()


def test_what_makes_the_cases_differ():
    stacks = {case.name: variation(ORIGINAL, case, "chat", 5)["config"] for case in CASES}
    pools = {name: config["llm-platform:node_pools"][0] for name, config in stacks.items()}
    models = {name: config["llm-platform:models"][0] for name, config in stacks.items()}
    assert [name for name, pool in pools.items() if pool.get("warm_nodes")] == ["warm-node"]
    assert [name for name, model in models.items() if model.get("warm_replicas")] == ["hot-spare"]
    assert [name for name, model in models.items() if model["replicas"]["min"] == 0] == ["from-zero"]


def test_the_original_is_left_alone():
    before = json.dumps(ORIGINAL, default=str)
    variation(ORIGINAL, CASES[1], "chat", 5)
    assert json.dumps(ORIGINAL, default=str) == before


def test_table_and_document():
    made = run(
        [outcome(0, at=1.0, first_token=3.5), outcome(1, at=2.0)], [sample(0.0), sample(4.0, desired=2)]
    )
    found = measured(CASES[0], made, report(made))
    assert (found.first_request_ttft, found.ttft_largest, found.ttft_attainment) == (3.5, 3.5, 0.5)
    assert found.decision == 4.0
    text = markdown([found], 30)
    assert f"| {CASES[0].what} | 4.0 s | - | - | 3.5 s | 3.5 s | 3.5 s | 50.0% | 0 of 2 | 0.98 $/h |" in text
    assert json.loads(json.dumps(document([found], 30)))["cases"][0]["name"] == "cold"
