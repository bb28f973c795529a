"""A fleet that is killed takes its pods' processes with it; the next one goes on where it was."""

from __future__ import annotations

import os
import signal

import httpx
import psutil
import pytest

from local.paths import PROCESS_MARKER
from tests.local.fleet.cluster.conftest import Namespace, address, eventually, python, server

pytestmark = pytest.mark.cluster


def fleet_process(state: str) -> psutil.Process | None:
    for process in psutil.process_iter():
        try:
            if "local.fleet" in process.cmdline() and process.environ().get(PROCESS_MARKER) == state:
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return None


def test_a_killed_fleet_leaves_no_process_and_its_successor_starts_the_pods_again(
    namespace: Namespace,
) -> None:
    namespace.pod("web", [server()])
    namespace.pod("done", [python("pass")], restartPolicy="Never")
    namespace.pod("task", [python("import time; time.sleep(60)")], restartPolicy="Never")
    before = namespace.wait_ready("web")
    namespace.wait_ready("task")
    eventually(lambda: namespace.status("done").get("phase") == "Succeeded", "the short task is done")
    fleet = fleet_process(str(namespace.state))
    assert fleet is not None
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
