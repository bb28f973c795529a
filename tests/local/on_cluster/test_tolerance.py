"""The real HPA and KEDA on the behaviour that models get, at the numbers where the default tolerance acts.

No node is bought: the pods stay Pending, and the HPA counts them all the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from infra.kubernetes_version import LOCAL_RELEASE
from infra.local import prometheus_url
from serving.scaling import ScalingBounds, scaled_object_spec

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster

NAMESPACE = "tolerance"
NAME = "wide"
RUNS = 10
PATIENCE_SECONDS = 60.0
HOLD_SECONDS = 20.0
"""Four of the HPA's periods of 5 s."""


def deployment(revision: str) -> dict[str, Any]:
    labels = {"app": NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            # As a model that has room for it: one replica more while it is updated.
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels, "annotations": {"revision": revision}},
                "spec": {
                    "nodeSelector": {"never": "there"},
                    "containers": [{"name": "pause", "image": "pause"}],
                },
            },
        },
    }


def scaled(wish: float, prometheus: str) -> dict[str, Any]:
    """The ScaledObject of a model whose every rule records this number."""
    bounds = ScalingBounds(minimum=1, maximum=20, scale_down_stabilization_seconds=0, sleep_after_seconds=600)
    spec = json.loads(json.dumps(scaled_object_spec(NAME, bounds, prometheus, LOCAL_RELEASE)))
    for trigger in spec["triggers"]:
        trigger["metadata"]["query"] = f"vector({wish})"
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": spec,
    }


class Wide:
    """A Deployment of ten replicas and more under an HPA, without a node to run on."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        found = prometheus_url(cluster.kubeconfig)
        assert found is not None
        self.prometheus = found

    def apply(self, *objects: dict[str, Any]) -> None:
        for each in objects:
            self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(each))

    def replicas(self) -> tuple[int, int]:
        """What the Deployment asks for, and its pods."""
        found = json.loads(self.cluster.kubectl("get", "deployment", NAME, "-n", NAMESPACE, "-o", "json"))
        return found["spec"]["replicas"], found["status"].get("replicas", 0)

    def wish(self, number: float) -> None:
        self.apply(scaled(number, self.prometheus))

    def settles_at(self, asked_for: int, pods: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self.replicas()) != (asked_for, pods):
            assert time.monotonic() < deadline, f"{found} replicas and pods, expected {asked_for}, {pods}"
            time.sleep(0.5)

    def stays_at(self, asked_for: int, pods: int) -> None:
        ends = time.monotonic() + HOLD_SECONDS
        while time.monotonic() < ends:
            assert self.replicas() == (asked_for, pods)
            time.sleep(0.5)


@pytest.fixture(scope="module")
def wide(cluster: Cluster) -> Iterator[Wide]:
    found = Wide(cluster)
    found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        found.apply(deployment("1"))
        found.wish(RUNS)
        found.settles_at(RUNS, RUNS)
        yield found
    finally:
        cluster.kubectl("delete", "scaledobject", NAME, "-n", NAMESPACE, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.parametrize("more", [0.2, 1, 1.5])
def test_one_more_than_ten_is_started(wide: Wide, more: float):
    wide.wish(RUNS)
    wide.settles_at(RUNS, RUNS)
    wide.wish(RUNS + more)
    expected = 12 if more > 1 else 11
    wide.settles_at(expected, expected)


def test_the_surge_pod_of_a_rollout_is_not_taken_for_load(wide: Wide):
    wide.wish(RUNS)
    wide.settles_at(RUNS, RUNS)
    # The new pod finds no machine, so the rollout stands as long as the test looks.
    wide.apply(deployment("2"))
    wide.settles_at(RUNS, RUNS + 1)
    wide.stays_at(RUNS, RUNS + 1)
