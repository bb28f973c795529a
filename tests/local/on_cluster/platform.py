"""The platform as an update with Pulumi leaves it: scaled and verified, with Prometheus, KEDA and Karpenter.

Slower than tests.local.on_cluster.deployment, which leaves out what scales and what asks.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from infra.local import prometheus_url
from stacks.load import PROJECT, STACKS

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.toolchain.obtain import Toolchain

ROOT = Path(__file__).parents[3]
STACK = "local"


@dataclass(frozen=True)
class Platform:
    """The deployed environment, and the commands that look at it. state: folder of Pulumi's backend."""

    cluster: Cluster
    pulumi: Path
    configuration: Path
    environment: dict[str, str]
    state: Path

    def run(self, *arguments: str) -> str:
        """Output of a Pulumi command on the stack. Fails the test with all of it if the command fails."""
        return self.plain_run(*arguments, "--stack", STACK, "--config-file", str(self.configuration))

    def plain_run(self, *arguments: str) -> str:
        command = [str(self.pulumi), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = "inference") -> dict[str, Any]:
        return json.loads(self.cluster.kubectl("get", kind, name, "-n", namespace, "-o", "json"))

    def items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """The objects of a kind, such as `items("pods", "-n", "inference")`."""
        return json.loads(self.cluster.kubectl("get", kind, *arguments, "-o", "json"))["items"]

    def gateway(self) -> str:
        """Address of the gateway's load balancer; `local.token` opens it."""
        service = self.get("service", "gateway", "gateway")
        return f"http://{service['metadata']['annotations']['local.llm-platform/address-80']}"

    def query(self, expression: str) -> list[float]:
        """Values of a PromQL expression now."""
        address = prometheus_url(self.cluster.kubeconfig)
        answer = httpx.get(
            f"{address}/api/v1/query", params={"query": expression}, trust_env=False, timeout=10
        )
        return [float(row["value"][1]) for row in answer.raise_for_status().json()["data"]["result"]]

    def trigger_values(self, model: str) -> dict[str, str]:
        """What the model's autoscaler last read, by metric; it must be able to read."""
        status = self.get("hpa", model)["status"]
        conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
        assert conditions["ScalingActive"] == "True"
        return {
            metric["external"]["metric"]["name"]: metric["external"]["current"]["averageValue"]
            for metric in status["currentMetrics"]
        }


@contextmanager
def updated(
    cluster: Cluster, toolchain: Toolchain, name: str, values: Mapping[str, Any]
) -> Iterator[Platform]:
    """The environment that these sections of a stack file describe, after an update that succeeded; at the
    end it is destroyed. name: of the folder with its state."""
    from local.pulumi.install import Folders, environment, prepare
    from local.token import ensure_key, with_own_files

    root = cluster.state / name
    folders = Folders(root / "home", root / "backend", root / "bin")
    pulumi = prepare(toolchain.path("pulumi"), folders, prefer="stand-in").pulumi
    ensure_key()
    document = yaml.safe_load((STACKS / f"Pulumi.{STACK}.yaml").read_text())
    document["config"] = with_own_files({f"{PROJECT}:{key}": value for key, value in values.items()})
    file = root / f"Pulumi.{STACK}.yaml"
    file.write_text(yaml.safe_dump(document))
    platform = Platform(cluster, pulumi, file, {**os.environ, **environment(folders)}, root / "backend")
    platform.plain_run("stack", "select", "--create", STACK)
    try:
        platform.run("up", "--yes", "--skip-preview")
        yield platform
    finally:
        # Without the drain of a replica that has nobody to serve.
        for namespace in ("gateway", "inference"):
            every = ("--all", "-n", namespace, "--ignore-not-found")
            cluster.kubectl("delete", "deployments", *every, "--cascade=foreground", "--wait=false")
            cluster.kubectl("delete", "pods", *every, "--grace-period=0", "--force")
        platform.run("destroy", "--yes", "--skip-preview")
