"""The embedded cluster under the treatment that a developer's machine gives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.cluster import cluster as embedded
from local.cluster.cluster import Cluster, ClusterError
from local.paths import PROCESS_MARKER, ROOT, STATE

pytestmark = pytest.mark.cluster

RECOVERY_SECONDS = 30.0


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {RECOVERY_SECONDS:.0f} s: {what}"
        time.sleep(0.2)


def processes_of(state: Path) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(PROCESS_MARKER) == str(state):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    addresses: set[tuple[str, int]] = set()
    for process in processes:
        try:
            connections = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        addresses |= {
            (connection.laddr.ip, connection.laddr.port)
            for connection in connections
            if connection.status == psutil.CONN_LISTEN
        }
    return addresses


def test_the_control_plane_is_the_pinned_kubernetes(cluster: Cluster) -> None:
    assert "v1.36" in cluster.kubectl("version")
    assert "system-0" in cluster.kubectl("get", "nodes")


def test_every_part_runs_under_the_supervisor(cluster: Cluster) -> None:
    eventually(lambda: all(state.state == "RUNNING" for state in embedded.states()), "all RUNNING")
    assert {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller"} < {
        state.name for state in embedded.states()
    }
    assert all(state.log.exists() for state in embedded.states())


def test_nothing_listens_beyond_loopback(cluster: Cluster) -> None:
    eventually(lambda: all(state.state == "RUNNING" for state in embedded.states()), "all RUNNING")
    addresses = listening(processes_of(STATE))
    assert len(addresses) > 6
    assert {ip for ip, _ in addresses} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("part", ["kube-apiserver", "karpenter", "kwok-controller"])
def test_a_killed_part_comes_back(cluster: Cluster, part: str) -> None:
    before = next(state for state in embedded.states() if state.name == part)
    os.kill(before.pid, signal.SIGKILL)

    def back() -> bool:
        now = next(state for state in embedded.states() if state.name == part)
        return now.state == "RUNNING" and now.pid != before.pid

    eventually(back, f"{part} restarted")

    def answers() -> bool:
        try:
            return "system-0" in cluster.kubectl("get", "nodes", "--request-timeout=2s")
        except ClusterError:
            return False

    eventually(answers, "API server answers")


@pytest.fixture
def second_state(toolchain: object, tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / "second"
    yield state
    run("down", state)


def run(command: str, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", command, *arguments],
        env={**os.environ, "LLM_PLATFORM_STATE": str(state)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_second_cluster_beside_the_first_survives_its_supervisor_and_goes_without_a_trace(
    cluster: Cluster, second_state: Path
) -> None:
    first = listening(processes_of(STATE))
    assert run("up", second_state, "--cluster-only").returncode == 0
    second = processes_of(second_state)
    ports = listening(second)
    assert ports
    assert not ports & first

    kubeconfig = second_state / "kubeconfig"
    other = Cluster(cluster.kubectl_path, kubeconfig, second_state)
    other.kubectl("create", "namespace", "kept")

    supervisor = int((second_state / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    again = run("up", second_state, "--cluster-only")
    assert again.returncode == 0, again.stderr
    assert "that an earlier supervisor left behind" in again.stdout
    # The data outlives the processes: only `down` forgets.
    assert "kept" in other.kubectl("get", "namespaces")

    # Without its supervisor and its database `down` must still find the rest.
    os.kill(int((second_state / "supervisord.pid").read_text()), signal.SIGKILL)
    for process in processes_of(second_state):
        if process.is_running() and "etcd" in process.name():
            process.kill()
    down = run("down", second_state)
    assert down.returncode == 0, down.stderr
    assert processes_of(second_state) == []
    assert not second_state.exists()
    assert not listening(processes_of(STATE)) & ports
    assert "system-0" in cluster.kubectl("get", "nodes")


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("kept")
    for command in ("up", "down"):
        answer = run(command, tmp_path, *(["--cluster-only"] if command == "up" else []))
        assert answer.returncode == 1
        assert str(tmp_path) in answer.stderr.replace("\n", "")
        assert "Traceback" not in answer.stderr
    assert precious.read_text() == "kept"
