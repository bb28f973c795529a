"""An environment on the real cluster without Pulumi: what the program registers, applied as it is.

Faster than an update by a minute, and the state folder of Pulumi stays untouched. Objects of autoscaling and
the verification are left out unless a test asks for them: here the test itself is what scales and asks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml

from serving.names import COMPONENT_LABEL
from stacks import program
from stacks.load import parse
from tests.recording import record
from tests.stacks.environments import with_files

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

KINDS = (
    "Namespace",
    "NetworkPolicy",
    "PriorityClass",
    "KWOKNodeClass",
    "NodePool",
    "StorageClass",
    "NetworkPolicy",
    "ServiceAccount",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Job",
    "Service",
    "PodDisruptionBudget",
    "Deployment",
    "PodTemplate",
    "CapacityBuffer",
)
"""What is applied, in this order, and removed in the reverse one."""

SECONDS = 60.0
"""How long a change of the cluster may take before a test fails: several times what two busy cores need."""

T = TypeVar("T")


def eventually(found: Callable[[], T | None], what: str) -> T:
    """The first result that is true. Fails with `what` and the last result after SECONDS."""
    deadline = time.monotonic() + SECONDS
    while True:
        result = found()
        if result:
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"not within {SECONDS:g} s: {what}; last seen: {result!r}")
        time.sleep(0.2)


@dataclass(frozen=True)
class Deployed:
    """An applied environment: look at it and change it."""

    cluster: Cluster

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a kind, such as `items("pods", "-n", "inference")`."""
        return json.loads(self.cluster.kubectl("get", kind, *arguments, "-o", "json"))["items"]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for the condition."""
        eventually(condition, what)

    def pods(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """The pods of the workload `name`, leaving ones included."""
        return self.items("pods", "-n", namespace, "-l", f"app.kubernetes.io/name={name}")

    def ready(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """Those of them that are ready and not leaving."""
        return [
            pod
            for pod in self.pods(namespace, name)
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod["status"].get("conditions", [])
            )
        ]

    def wait_ready(self, namespace: str, name: str, count: int) -> list[dict[str, Any]]:
        """Waits until exactly `count` pods of the workload exist, all of them ready."""

        def settled() -> list[dict[str, Any]] | None:
            ready = self.ready(namespace, name)
            return ready if len(ready) == len(self.pods(namespace, name)) == count else None

        return eventually(settled, f"{count} pods of {namespace}/{name}, all ready")

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        self.cluster.kubectl("scale", f"deployment/{name}", "-n", namespace, f"--replicas={replicas}")

    def restart(self, namespace: str, name: str) -> None:
        """A rolling restart."""
        self.cluster.kubectl("rollout", "restart", f"deployment/{name}", "-n", namespace)

    def gateway(self) -> str:
        """Address of the gateway's load balancer; `local.token` opens it."""

        def annotated() -> str | None:
            service = json.loads(
                self.cluster.kubectl("get", "service", "gateway", "-n", "gateway", "-o", "json")
            )
            return service["metadata"].get("annotations", {}).get("local.llm-platform/address-80")

        return f"http://{eventually(annotated, 'the address of the gateway')}"

    def apply(self, values: dict[str, Any]) -> None:
        """Applies the environment that these sections of a stack file describe."""
        _apply(self.cluster, manifests(self.cluster.kubeconfig, values))


def manifests(kubeconfig: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of KINDS that the program registers, in their order."""
    from local.paths import JWKS
    from local.token import STACK, ensure_key

    ensure_key()
    stack = parse(with_files(values, kubeconfig, JWKS), origin="test")
    # Under the name for which clients of this cluster get their tokens.
    recording = record(lambda: program.export(program.build(stack)), stack=STACK)
    found = [
        resource.inputs
        for resource in recording
        if resource.inputs.get("kind") in KINDS and not _verifies(resource.inputs)
    ]
    return sorted(found, key=lambda manifest: KINDS.index(manifest["kind"]))


def _verifies(manifest: dict[str, Any]) -> bool:
    return manifest["metadata"].get("labels", {}).get(COMPONENT_LABEL) == "verification"


@contextmanager
def deployed(cluster: Cluster, values: dict[str, Any]) -> Iterator[Deployed]:
    """The environment, applied; at the end all of it is removed, and the test fails if a machine stays."""
    applied = manifests(cluster.kubeconfig, values)
    try:
        _apply(cluster, applied)
        yield Deployed(cluster)
    finally:
        _remove(cluster, applied)


def _apply(cluster: Cluster, objects: list[dict[str, Any]]) -> None:
    apply = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    deployments = KINDS.index("Deployment")
    before = [item for item in objects if KINDS.index(item["kind"]) < deployments]
    cluster.kubectl(*apply, stdin=yaml.safe_dump_all(before))
    # Engines start from weights that are there, as in an update, where Pulumi waits for these Jobs.
    for job in (item["metadata"] for item in before if item["kind"] == "Job"):
        name, namespace = job["name"], job["namespace"]
        cluster.kubectl("wait", f"job/{name}", "-n", namespace, "--for=condition=complete", "--timeout=60s")
    cluster.kubectl(*apply, stdin=yaml.safe_dump_all([item for item in objects if item not in before]))


def _remove(cluster: Cluster, objects: list[dict[str, Any]]) -> None:
    delete = ("delete", "--ignore-not-found", "--timeout=60s")
    for namespace in {item["metadata"]["namespace"] for item in objects if item["kind"] == "Deployment"}:
        cluster.kubectl(
            *delete, "deployments", "--all", "--cascade=foreground", "-n", namespace, "--wait=false"
        )
        eventually(partial(_without_pods, cluster, namespace), f"namespace {namespace} without pods")
    cluster.kubectl(*delete, "--cascade=foreground", "-f", "-", stdin=yaml.safe_dump_all(reversed(objects)))
    left = cluster.kubectl("get", "nodeclaims", "-o", "name")
    assert left == "", f"machines that outlived their pool: {left}"


def _without_pods(cluster: Cluster, namespace: str) -> bool:
    """Deletes all pods at once, what is draining drains for nobody; whether none had to be deleted."""
    force = ("--grace-period=0", "--force", "--ignore-not-found")
    return cluster.kubectl("delete", "pods", "--all", "-n", namespace, *force).startswith("No resources")
