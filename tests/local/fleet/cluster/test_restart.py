"""A fleet that is killed takes its pods' processes with it; the next one goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from local.paths import PROCESS_MARKER, ROOT
from tests.local.fleet.cluster.conftest import Namespace, address, eventually, python, server

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster


def process_with(argument: str, namespace: Namespace) -> psutil.Process:
    """The process of this cluster whose command line ends in, or has, `argument`."""
    for process in psutil.process_iter():
        try:
            mine = process.environ().get(PROCESS_MARKER) == str(namespace.state)
            if mine and any(part.endswith(argument) for part in process.cmdline()):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    pytest.fail(f"no process with {argument}")


def test_a_killed_fleet_leaves_no_process_and_its_successor_starts_the_pods_again(
    namespace: Namespace,
) -> None:
    namespace.pod("web", [server()])
    namespace.pod("done", [python("pass")], restartPolicy="Never")
    namespace.pod("task", [python("import time; time.sleep(60)")], restartPolicy="Never")
    before = namespace.wait_ready("web")
    namespace.wait_ready("task")
    eventually(lambda: namespace.status("done").get("phase") == "Succeeded", "the short task is done")
    fleet = process_with("local.fleet", namespace)
    children = fleet.children(recursive=True)
    assert len(children) >= 2

    os.kill(fleet.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []

    eventually(lambda: namespace.container("web")["restartCount"] == 1, "started again by the next fleet")
    after = namespace.wait_ready("web")
    assert address(after, 8000) == address(before, 8000)
    assert after["status"]["podIP"] == before["status"]["podIP"]
    assert after["status"]["startTime"] == before["status"]["startTime"]
    assert httpx.get(f"http://{address(after, 8000)}/", trust_env=False).text == "web"
    ended = namespace.container("web")["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")

    eventually(lambda: namespace.status("task")["phase"] == "Failed", "what may not run again has failed")
    done = namespace.container("done")
    assert (done["restartCount"], done["state"]["terminated"]["exitCode"]) == (0, 0)


def test_a_second_fleet_of_the_same_cluster_is_refused(namespace: Namespace, cluster: Cluster) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "local.fleet"],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "LLM_PLATFORM_STATE": str(cluster.state)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    first = process_with("local.fleet", namespace)
    assert f"process {first.pid} runs the pods of {cluster.state} already" in second.stderr


def test_pods_run_on_while_the_api_server_is_away(namespace: Namespace) -> None:
    namespace.pod("web", [server()])
    before = namespace.wait_ready("web")
    fleet = process_with("local.fleet", namespace)
    process_with("/kube-apiserver", namespace).kill()
    assert httpx.get(f"http://{address(before, 8000)}/", trust_env=False).text == "web"

    def answers() -> bool:
        try:
            return bool(namespace.get("pods", "web"))
        except (httpx.TransportError, AssertionError):
            return False

    eventually(answers, "the API server is back", 40.0)
    namespace.pod("later", [server()])
    namespace.wait_ready("later")
    assert process_with("local.fleet", namespace).pid == fleet.pid
    assert (
        namespace.container("web")["containerID"] == before["status"]["containerStatuses"][0]["containerID"]
    )


def test_a_killed_load_balancer_comes_back_at_the_same_address(namespace: Namespace) -> None:
    namespace.pod("web", [server()])
    namespace.wait_ready("web")
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    spec = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": ports}
    namespace.create("services", "web", spec=spec)

    def answers() -> bool:
        found = namespace.get("services", "web")
        assert found is not None
        real = found["metadata"].get("annotations", {}).get("local.llm-platform/address-80")
        try:
            return real is not None and httpx.get(f"http://{real}/", trust_env=False).text == "web"
        except httpx.TransportError:
            return False

    eventually(answers, "an answer")
    process_with("load-balancer/envoy.json", namespace).kill()
    eventually(lambda: not answers(), "no answer")
    eventually(answers, "an answer again")
