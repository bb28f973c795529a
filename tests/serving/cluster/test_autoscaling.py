"""The whole path of a decision, with the real Pulumi, Prometheus, KEDA, HPA and Karpenter.

No stabilisation here: whatever would make replicas fall makes them fall at once, and a test that says that
they do not would notice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from dashboards.signals import SIGNALS, WAKE, series
from infra.local import prometheus_url
from serving.scaling import external_metric
from stacks.load import PROJECT, STACKS
from tests.stacks.environments import local_values

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.toolchain.obtain import Toolchain

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[3]
STACK = "local"
PATIENCE_SECONDS = 60.0
BURST = 45
"""Requests at once: one replica computes 14, so 31 wait, and 6 of those fill one replica."""

BLIND_SECONDS = 30.0
"""Six of the HPA's periods: long enough for KEDA's fallback to begin, and for a fall to be seen."""


@dataclass(frozen=True)
class Platform:
    """The deployed environment, and the commands that look at it."""

    cluster: Cluster
    pulumi: Path
    configuration: Path
    environment: dict[str, str]

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

    def replicas(self) -> int:
        return self.get("deployment", "chat")["spec"]["replicas"]

    def query(self, expression: str) -> list[float]:
        address = prometheus_url(self.cluster.kubeconfig)
        answer = httpx.get(
            f"{address}/api/v1/query", params={"query": expression}, trust_env=False, timeout=10
        )
        return [float(row["value"][1]) for row in answer.raise_for_status().json()["data"]["result"]]

    def trigger_values(self) -> dict[str, str]:
        """What the autoscaler last read, by metric; it must be able to read."""
        status = self.get("hpa", "chat")["status"]
        conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
        assert conditions["ScalingActive"] == "True"
        return {
            metric["external"]["metric"]["name"]: metric["external"]["current"]["averageValue"]
            for metric in status["currentMetrics"]
        }

    def wait_for_replicas(self, least: int, most: int, seconds: float = PATIENCE_SECONDS) -> int:
        """Waits until the Deployment asks for a number within these bounds, and returns it."""
        deadline = time.monotonic() + seconds
        while not least <= (replicas := self.replicas()) <= most:
            assert time.monotonic() < deadline, f"{replicas} replicas, expected {least} to {most}"
            time.sleep(0.5)
        return replicas


@pytest.fixture(scope="module")
def platform(cluster: Cluster, toolchain: Toolchain) -> Iterator[Platform]:
    from local.pulumi.install import Folders, environment, prepare
    from local.token import ensure_key, with_own_files

    root = cluster.state / "autoscaling"
    folders = Folders(root / "home", root / "backend", root / "bin")
    pulumi = prepare(toolchain.path("pulumi"), folders, prefer="stand-in").pulumi
    values = local_values()
    values["models"] = values["models"][:1]
    values["node_pools"] = values["node_pools"][:1]
    values["models"][0]["scale_down_stabilization_seconds"] = 0
    values["cluster"]["node_startup_seconds"] = 1
    ensure_key()
    document = yaml.safe_load((STACKS / f"Pulumi.{STACK}.yaml").read_text())
    document["config"] = with_own_files({f"{PROJECT}:{key}": value for key, value in values.items()})
    file = root / f"Pulumi.{STACK}.yaml"
    file.write_text(yaml.safe_dump(document))
    deployed = Platform(cluster, pulumi, file, {**os.environ, **environment(folders)})
    deployed.plain_run("stack", "select", "--create", STACK)
    try:
        deployed.run("up", "--yes", "--skip-preview")
        yield deployed
    finally:
        deployed.cluster.kubectl(
            "delete", "pods", "--all", "-n", "inference", "--grace-period=0", "--force", "--ignore-not-found"
        )
        deployed.run("destroy", "--yes", "--skip-preview")


async def _ask_at_once(gateway: str) -> list[int]:
    from local.token import authorization

    body = {
        "model": "chat",
        "max_tokens": 150,
        "messages": [{"role": "user", "content": "word " * 1000}],
    }
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=gateway,
        headers=authorization(),
        timeout=PATIENCE_SECONDS,
        trust_env=False,
        limits=limits,
    ) as client:
        posts = [client.post("/v1/chat/completions", json=body) for _ in range(BURST)]
        return [answer.status_code for answer in await asyncio.gather(*posts)]


@contextmanager
def burst(platform: Platform) -> Iterator[None]:
    """Asks BURST times at once, and at the end waits for every answer, which must be good."""
    service = platform.get("service", "gateway", "gateway")
    gateway = f"http://{service['metadata']['annotations']['local.llm-platform/address-80']}"
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.extend(asyncio.run(_ask_at_once(gateway))))
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert answers == [200] * BURST


def test_idle_is_numeric_and_active(platform: Platform):
    idle = {external_metric(index): "0" for index in range(4)}
    # The verify Job has just asked: what it put into the signals is gone with their window.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (values := platform.trigger_values()) != idle:
        assert time.monotonic() < deadline, values
        time.sleep(0.5)
    scaled = platform.get("scaledobject", "chat")
    ready = {condition["type"]: condition["status"] for condition in scaled["status"]["conditions"]}
    assert (ready["Ready"], ready["Fallback"]) == ("True", "False")
    assert platform.replicas() == 1


def test_every_signal_is_recorded(platform: Platform):
    # These exist only with first tokens, or only for a model that may sleep.
    absent = {"inference:ttft_seconds:p50", "inference:ttft_seconds:p95", WAKE}
    absent.add("inference:ttft_within_objective:ratio_rate2m")
    for name in SIGNALS:
        if name.startswith("inference:") and name not in absent:
            values = platform.query(series(name, "chat"))
            assert values, name
            assert SIGNALS[name].extra_labels or len(values) == 1
    assert platform.query('node_pool:nodes:count{node_pool="l4"}') == [1]


def test_nothing_secret_is_readable_outside_the_cluster(platform: Platform):
    from local.token import FILES, token

    secrets = json.loads(
        platform.cluster.kubectl(
            "get", "secrets", "-n", "gateway", "-l", "app.kubernetes.io/name=verify", "-o", "json"
        )
    )["items"]
    (encoded,) = (secret["data"]["token"] for secret in secrets)
    shown = base64.b64decode(encoded).decode()
    # A signature is in nothing but its token.
    signature = shown.rpartition(".")[2]
    key = FILES.signing_key()
    assert key is not None
    private = "".join(key.pem().decode().splitlines()[1:-1])
    backend = platform.cluster.state / "autoscaling" / "backend"
    state = [path.read_text(errors="replace") for path in backend.rglob("*") if path.is_file()]
    assert any("verify-token-" in text for text in state)
    exported = [platform.plain_run("stack", what, "--stack", STACK) for what in ("output", "export")]
    for text in (*state, *exported):
        for secret in (shown, signature, encoded, private, "PRIVATE KEY", token()):
            assert secret not in text
    configurations = platform.cluster.kubectl("get", "configmaps,jobs,pods", "-A", "-o", "json")
    for secret in (shown, encoded, private, "PRIVATE KEY"):
        assert secret not in configurations


def test_a_queue_scales_out_and_the_next_preview_shows_no_change(platform: Platform):
    with burst(platform):
        platform.wait_for_replicas(4, 5)
        planned = json.loads(platform.run("preview", "--json"))
        assert {step["op"] for step in planned["steps"]} == {"same"}
    platform.wait_for_replicas(1, 3)


def test_replicas_never_fall_while_prometheus_is_away(platform: Platform):
    from local.cluster.supervision import Supervisor

    with burst(platform):
        before = platform.wait_for_replicas(4, 5)
        Supervisor().stop("prometheus")
    try:
        ends = time.monotonic() + BLIND_SECONDS
        while time.monotonic() < ends:
            assert platform.replicas() >= before
            time.sleep(1)
    finally:
        Supervisor().start("prometheus")
    # Nothing but the missing metrics kept them. How soon they go is measured by `make chaos`, on a machine
    # that does nothing else.
    platform.wait_for_replicas(1, before - 1, seconds=3 * PATIENCE_SECONDS)
