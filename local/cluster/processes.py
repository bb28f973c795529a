"""Finds and ends the processes of this state folder that no supervisor knows any more."""

from __future__ import annotations

import os

import psutil

from local.paths import PROCESS_MARKER, STATE

KILL_AFTER_SECONDS = 5.0


def leftovers() -> list[psutil.Process]:
    """Processes that carry this cluster's marker, except ourselves and whoever started us."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.pid not in mine and process.environ().get(PROCESS_MARKER) == str(STATE):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def end_leftovers() -> int:
    """Ends them, politely first. Returns how many there were."""
    processes = leftovers()
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=KILL_AFTER_SECONDS)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=KILL_AFTER_SECONDS)
    return len(processes)
