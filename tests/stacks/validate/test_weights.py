"""Sources of weights that cannot be: refused in the preview."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stacks.environments import local_values
from tests.stacks.validate.test_cluster import problems

IMAGE = "oci://registry.example/qwen@sha256:" + "0" * 64


def with_weights(weights: str, **model: Any) -> dict[str, Any]:
    values = local_values()
    values["models"][0].update(weights=weights, **model)
    return values


def on_a_teams_cluster(values: dict[str, Any]) -> dict[str, Any]:
    values["cluster"] = {
        "provider": "existing",
        "name": "team",
        "kubeconfig": "kubeconfig",
        "context": "team",
        "node_autoscaler": "karpenter",
    }
    return values


@pytest.mark.parametrize("weights", ["hub", "pvc://models", "pvc://models/qwen/8b"])
def test_what_the_local_cluster_has(weights: str):
    assert problems(with_weights(weights)) == []


@pytest.mark.parametrize("weights", ["s3://models/qwen", "gs://models/qwen", IMAGE])
def test_buckets_and_registries_are_for_real_clusters(weights: str):
    (line,) = problems(with_weights(weights))
    assert line.startswith(f'models[0].weights: "{weights}" is not possible on a local cluster')
    assert problems(on_a_teams_cluster(with_weights(weights))) == []


def test_a_folder_stays_below_its_bucket():
    (line,) = problems(on_a_teams_cluster(with_weights("s3://models/../other")))
    assert line.startswith('models[0].weights: weights "s3://models/../other": a folder is written without')
