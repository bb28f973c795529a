from __future__ import annotations

import pytest

from local.load.scenario import Scenario, load_scenario
from local.load.target import TargetError, check_scenario
from sizing.models.task import Task
from tests.local.load.samples import model

SMOKE, EMBEDDINGS = load_scenario("smoke"), load_scenario("embeddings")


@pytest.mark.parametrize(
    ("scenario", "task"), [(SMOKE, "generate"), (EMBEDDINGS, "embed"), (EMBEDDINGS, "rerank")]
)
def test_a_scenario_fits_its_models_task(scenario: Scenario, task: Task):
    check_scenario(scenario, model().model_copy(update={"task": task}))


@pytest.mark.parametrize(
    ("scenario", "task", "words"),
    [
        (EMBEDDINGS, "generate", r"model chat generates text, so say .*output_tokens"),
        (SMOKE.model_copy(update={"inputs": 2}), "generate", "so leave out inputs, which is 2"),
        (SMOKE, "embed", "model chat makes embeddings, so leave out output_tokens"),
        (SMOKE, "rerank", "model chat ranks documents, so leave out output_tokens"),
    ],
)
def test_a_scenario_for_another_task_says_what_to_change(scenario: Scenario, task: Task, words: str):
    with pytest.raises(TargetError, match=words):
        check_scenario(scenario, model().model_copy(update={"task": task}))
