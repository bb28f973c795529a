"""Finds the process to kill: by the supervisor's record, or by the pod whose container it is."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

from local.cluster import cluster
from local.fleet.processes import POD_VARIABLE
from local.paths import PROCESS_MARKER, STATE


class NoProcess(Exception):
    """What was to be killed does not run."""


def supervised(name: str) -> int:
    """Process id of a part of the cluster. Raises NoProcess."""
    for state in cluster.states():
        if state.name == name and state.state == "RUNNING":
            return state.pid
    raise NoProcess(f"{name} is not running under the supervisor: `make status`")


def is_supervised(name: str) -> bool:
    """Whether the supervisor has this part running."""
    return any(state.name == name and state.state == "RUNNING" for state in cluster.states())


def container(pod_uid: str) -> int:
    """Process id of a pod's container: the oldest process of that pod. Raises NoProcess."""
    found: list[tuple[float, int]] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            variables = process.environ()
            if variables.get(PROCESS_MARKER) == str(STATE) and variables.get(POD_VARIABLE) == pod_uid:
                found.append((process.create_time(), process.pid))
    if not found:
        raise NoProcess(f"pod {pod_uid} has no process on this machine")
    return min(found)[1]


def hang(pid: int) -> None:
    """Makes an emulated engine take no further step."""
    os.kill(pid, signal.SIGUSR1)


def runs(pid: int) -> bool:
    """Whether there is such a process, other than one that has ended and is not yet collected."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)
