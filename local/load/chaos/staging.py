"""A staging Job that hangs and is killed while another one waits for the same claim.

Both Jobs are copies of the one that staged the model, on a claim of their own, so that no replica is touched.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from local.cluster.cluster import Cluster, ClusterError
from local.engine.refusal import Refused
from local.engine.weights import checked
from local.fleet.claims import STORAGE_CLASS
from local.load.chaos.processes import NoProcess, container, kill
from local.load.run import Run
from local.paths import BIN, STATE
from serving.names import INFERENCE_NAMESPACE
from serving.weights.layout import MODEL_FOLDER, STAGING

CLAIM = "chaos-weights"
FIRST, SECOND = "chaos-stage-first", "chaos-stage-second"
LABEL = "local.llm-platform/chaos"
WAIT_SECONDS = 60.0
LOOK_SECONDS = 0.02
"""The imitated hub's files are there within half a second: who looks less often comes too late."""

T = TypeVar("T")


class StagingFault:
    """inject: the first Job is stopped while it holds the claim, and killed once the second waits for it.
    present: whether both Jobs have ended well and the claim holds what its manifest says."""

    async def inject(self, run: Run) -> None:
        """Raises NoProcess where a Job does not start or does not wait."""
        await asyncio.to_thread(self._inject, run.scenario.model)

    def _inject(self, model: str) -> None:
        cluster = Cluster(BIN / "kubectl")
        _remove(cluster)
        staged = next(
            (job for job in _items(cluster, "jobs") if job["metadata"]["name"].startswith(f"stage-{model}-")),
            None,
        )
        if staged is None:
            raise NoProcess(f"no Job has staged {model}: its weights come from an image or a claim")
        _create(cluster, claim())
        _create(cluster, job(staged, FIRST))
        folder = _until(lambda: _folder(cluster), f"claim {CLAIM} has no folder")
        lock = folder / MODEL_FOLDER / STAGING / "lock"
        first = _until(lambda: _process(cluster, FIRST), f"Job {FIRST} has no process")
        _until(lambda: lock.exists() or None, f"Job {FIRST} has not begun")
        os.kill(first, signal.SIGSTOP)
        try:
            _create(cluster, job(staged, SECOND))
            _until(lambda: _waits(cluster), f"Job {SECOND} does not wait for {FIRST}")
        finally:
            kill(first)

    def present(self) -> bool:
        """Removes Jobs and claim once all is well."""
        cluster = Cluster(BIN / "kubectl")
        jobs = [item for item in _items(cluster, "jobs") if LABEL in item["metadata"].get("labels", {})]
        if len(jobs) < 2:
            return True
        if not all(item.get("status", {}).get("succeeded") for item in jobs):
            return False
        folder = _folder(cluster)
        try:
            right = folder is not None and checked(folder / MODEL_FOLDER) is not None
        except Refused:
            right = False
        if right:
            _remove(cluster)
        return right


def claim() -> dict[str, Any]:
    """A claim beside the one that a staging Job fills."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": INFERENCE_NAMESPACE, "labels": {LABEL: "true"}},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": STORAGE_CLASS,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def job(staged: dict[str, Any], name: str) -> dict[str, Any]:
    """A copy of a staging Job under another name, on CLAIM."""
    pod = json.loads(json.dumps(staged["spec"]["template"]["spec"]))
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"]["claimName"] = CLAIM
    labels = {
        key: value
        for key, value in staged["spec"]["template"]["metadata"]["labels"].items()
        if "controller-uid" not in key and "job-name" not in key
    }
    kept = ("backoffLimit", "activeDeadlineSeconds", "podFailurePolicy")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": INFERENCE_NAMESPACE, "labels": {LABEL: "true"}},
        "spec": {
            **{field: staged["spec"][field] for field in kept if field in staged["spec"]},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _items(cluster: Cluster, kind: str, *selector: str) -> list[dict[str, Any]]:
    return json.loads(cluster.kubectl("get", kind, "-n", INFERENCE_NAMESPACE, *selector, "-o", "json"))[
        "items"
    ]


def _create(cluster: Cluster, document: dict[str, Any]) -> None:
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(document))


def _remove(cluster: Cluster) -> None:
    for kind in ("jobs", "persistentvolumeclaims"):
        cluster.kubectl("delete", kind, "-n", INFERENCE_NAMESPACE, "-l", LABEL, "--ignore-not-found")


def _folder(cluster: Cluster) -> Path | None:
    for item in _items(cluster, "persistentvolumeclaims", "-l", LABEL):
        metadata = item["metadata"]
        path = STATE / "claims" / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
        if path.is_dir():
            return path
    return None


def _process(cluster: Cluster, name: str) -> int | None:
    for pod in _items(cluster, "pods", "-l", f"job-name={name}"):
        try:
            return container(pod["metadata"]["uid"])
        except NoProcess:
            continue
    return None


def _waits(cluster: Cluster) -> bool | None:
    try:
        said = cluster.kubectl("logs", "-n", INFERENCE_NAMESPACE, f"job/{SECOND}")
    except ClusterError:
        return None
    return True if "another stager is at work" in said else None


def _until(look: Callable[[], T | None], problem: str) -> T:
    """The first result that is there. Raises NoProcess with `problem` after WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise NoProcess(f"{problem} after {WAIT_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
