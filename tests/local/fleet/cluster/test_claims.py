"""Claims on the real cluster: bound by its controller, mounted by pods on any node, gone without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.local.fleet.cluster.conftest import Namespace, eventually

pytestmark = pytest.mark.cluster

CLAIM = "persistentvolumeclaims"


def mounted(claim: str, sub_path: str = "") -> dict[str, Any]:
    mount = {"name": "data", "mountPath": "/data", **({"subPath": sub_path} if sub_path else {})}
    return {
        "containers": [{"volumeMounts": [mount]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
    }


def run(namespace: Namespace, pod: str, script: str, volume: dict[str, Any]) -> None:
    (container,) = volume["containers"]
    containers = [{**container, "command": ["python3", "-c", script]}]
    namespace.pod(pod, containers, volumes=volume["volumes"], restartPolicy="Never")
    eventually(lambda: namespace.status(pod).get("phase") == "Succeeded", f"pod {pod} succeeded")


def volumes_of(namespace: Namespace, claim: str) -> list[str]:
    answer = namespace.client.get("/api/v1/persistentvolumes").json()
    owners = [(item["spec"]["claimRef"], item["spec"]["hostPath"]["path"]) for item in answer["items"]]
    return [path for owner, path in owners if (owner["namespace"], owner["name"]) == (namespace.name, claim)]


def test_a_claim_outlives_its_pods_and_leaves_nothing(namespace: Namespace) -> None:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    namespace.create(CLAIM, "weights", spec=spec)
    write = "import os; os.makedirs('/data/model'); open('/data/model/file', 'w').write('whole')"
    run(namespace, "writer", write, mounted("weights"))
    found = namespace.get(CLAIM, "weights")
    assert found is not None
    assert found["status"]["phase"] == "Bound"
    assert found["spec"]["storageClassName"] == "local-folders"  # the cluster's default
    namespace.delete("pods", "writer")
    read = "assert open('/data/file').read() == 'whole'"
    run(namespace, "reader", read, mounted("weights", sub_path="model"))
    namespace.delete("pods", "reader")
    (folder,) = volumes_of(namespace, "weights")
    assert Path(folder).is_relative_to(namespace.state)
    namespace.delete(CLAIM, "weights")
    eventually(lambda: namespace.get(CLAIM, "weights") is None, "the claim is gone")
    eventually(lambda: not volumes_of(namespace, "weights"), "its volume is gone")
    assert not Path(folder).exists()


def test_a_pod_waits_for_its_claim(namespace: Namespace) -> None:
    volume = mounted("later")
    namespace.pod(
        "early",
        [{**volume["containers"][0], "command": ["python3", "-c", "pass"]}],
        volumes=volume["volumes"],
        restartPolicy="Never",
    )
    eventually(lambda: "FailedScheduling" in namespace.events("early"), "the pod is not scheduled")
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    namespace.create(CLAIM, "later", spec=spec)
    eventually(lambda: namespace.status("early").get("phase") == "Succeeded", "the pod ran", seconds=60)
