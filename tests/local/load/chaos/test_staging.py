"""The Jobs that chaos starts are the product's own staging Job, on another claim."""

from __future__ import annotations

from typing import Any

from local.fleet.claims import STORAGE_CLASS
from local.load.chaos.staging import CLAIM, FIRST, LABEL, claim, job


def staged() -> dict[str, Any]:
    return {
        "metadata": {"name": "stage-chat-0123456789", "uid": "u", "resourceVersion": "7"},
        "spec": {
            "backoffLimit": 6,
            "podFailurePolicy": {"rules": []},
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {
                "metadata": {
                    "labels": {
                        "app.kubernetes.io/name": "staging",
                        "batch.kubernetes.io/controller-uid": "u",
                        "batch.kubernetes.io/job-name": "stage-chat-0123456789",
                        "controller-uid": "u",
                        "job-name": "stage-chat-0123456789",
                    }
                },
                "spec": {
                    "containers": [{"name": "stage"}],
                    "volumes": [
                        {"name": "program", "configMap": {"name": "staging-1"}},
                        {"name": "staged", "persistentVolumeClaim": {"claimName": "weights-chat-b968826d"}},
                    ],
                },
            },
        },
    }


def test_a_copy_is_the_job_on_another_claim_and_the_original_stays_as_it_is():
    original = staged()
    copy = job(original, FIRST)
    assert original == staged()
    pod = copy["spec"]["template"]["spec"]
    assert pod["containers"] == [{"name": "stage"}]
    assert pod["volumes"][1]["persistentVolumeClaim"] == {"claimName": CLAIM}
    assert copy["spec"]["template"]["metadata"]["labels"] == {"app.kubernetes.io/name": "staging"}
    assert set(copy["spec"]) == {"backoffLimit", "podFailurePolicy", "template"}
    assert (copy["metadata"]["name"], copy["metadata"]["labels"]) == (FIRST, {LABEL: "true"})


def test_its_claim_is_one_that_the_fleet_makes():
    assert claim()["metadata"]["name"] == CLAIM
    assert claim()["spec"]["storageClassName"] == STORAGE_CLASS
