"""Weights in the program: staged before the engines, once for each revision, whoever serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks import program
from tests.recording import Recording, record
from tests.stacks.environments import local_values, stack_on

REVISION = "b968826d9c46dd6066d109eabc6255188de91218"
TRIED = "c" * 40
CLAIM, TRIED_CLAIM = "weights-chat-b968826d", "weights-chat-cccccccc"


def run(folder: Path, **chat: Any) -> Recording:
    values = local_values()
    values["models"][0].update(chat)
    stack = stack_on(folder / "kubeconfig", values)
    return record(lambda: program.export(program.build(stack)))


def mounted(recording: Recording, deployment: str) -> str:
    volumes = recording.one("Deployment", deployment).inputs["spec"]["template"]["spec"]["volumes"]
    (claim,) = [
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes if volume["name"] == "weights"
    ]
    return claim


def names(recording: Recording, kind: str) -> set[str]:
    return {
        resource.inputs["metadata"]["name"] for resource in recording if resource.inputs.get("kind") == kind
    }


def jobs(recording: Recording) -> list[str]:
    return sorted(name for name in names(recording, "Job") if name.startswith("stage-"))


def test_an_engine_waits_until_its_weights_are_verified(tmp_path: Path):
    recording = run(tmp_path)
    (job,) = [name for name in jobs(recording) if not name.startswith("stage-chat-large")]
    deployment = recording.one("Deployment", "chat")
    assert recording.one("Job", job).urn in recording.behind(deployment)
    assert recording.one("PersistentVolumeClaim", CLAIM).urn in recording.behind(recording.one("Job", job))


def test_a_canary_has_its_own_revision_which_stays_staged_when_it_is_promoted(tmp_path: Path):
    before = run(tmp_path, canary={"revision": TRIED, "weight": 10})
    assert mounted(before, "chat") == CLAIM
    assert mounted(before, "chat-canary") == TRIED_CLAIM
    promoted = run(tmp_path, revision=TRIED)
    assert mounted(promoted, "chat") == TRIED_CLAIM
    # The same resources: nothing is downloaded or verified again.
    claims = [recording.one("PersistentVolumeClaim", TRIED_CLAIM) for recording in (before, promoted)]
    assert claims[0].urn == claims[1].urn
    assert claims[0].inputs == claims[1].inputs
    kept = set(jobs(before)) & set(jobs(promoted))
    assert any(name.startswith("stage-chat-") and "large" not in name for name in kept)


def test_what_was_compiled_is_no_canarys_and_no_other_models(tmp_path: Path):
    recording = run(tmp_path, canary={"revision": TRIED, "weight": 10})
    compiled = {name for name in names(recording, "PersistentVolumeClaim") if name.startswith("compiled-")}
    assert {name.rpartition("-v")[0] for name in compiled} == {
        "compiled-chat",
        "compiled-chat-canary",
        "compiled-chat-large",
    }


@pytest.mark.parametrize(
    ("weights", "staged"), [("pvc://models/qwen", True), ("oci://r.example/q@sha256:" + "0" * 64, False)]
)
def test_what_is_not_copied_has_no_claim_and_only_what_needs_it_a_job(
    tmp_path: Path, weights: str, staged: bool, monkeypatch: pytest.MonkeyPatch
):
    # The local cluster has no registry; the program itself does not mind.
    monkeypatch.setattr("stacks.validate.check_weights", lambda *_: [])
    recording = run(tmp_path, weights=weights)
    assert not any(
        name.startswith("weights-chat-") and "large" not in name
        for name in names(recording, "PersistentVolumeClaim")
    )
    found = [name for name in jobs(recording) if not name.startswith("stage-chat-large")]
    assert bool(found) is staged


def test_engines_know_no_token_of_the_hub(tmp_path: Path):
    recording = run(tmp_path)
    for resource in recording:
        if resource.inputs.get("kind") == "Deployment":
            assert "hub-token" not in str(resource.inputs)
