"""CPU time of servers: user and system, of all their threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Since the processes began. Exact to microseconds on Linux, else to the system's clock tick."""
    return sum(map(_of_process, pids))


def _of_process(pid: int) -> float:
    precise = _scheduled(pid)
    if precise is not None:
        return precise
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _scheduled(pid: int) -> float | None:
    """The scheduler's own account of the threads that run: /proc/PID/stat counts in steps of 10 ms."""
    files = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if not files:
        return None
    nanoseconds = 0
    for file in files:
        # A thread may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            nanoseconds += int(file.read_text(encoding="ascii").split()[0])
    return nanoseconds / 1e9
