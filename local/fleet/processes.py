"""Processes of containers: start, signal, and find what an earlier fleet left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.paths import PROCESS_MARKER

log = logging.getLogger(__name__)

POD_VARIABLE = "LLM_PLATFORM_POD"
"""Environment variable with the pod's uid: tells a container's process from the cluster's own parts."""

_LAUNCH = Path(__file__).with_name("launch.py")
_OUTPUT_LIMIT = 4096  # bytes of a hook's or probe's output that a message may carry


class CannotStart(Exception):
    """The command is neither a file nor on its PATH, or its working directory does not exist."""


@dataclass(frozen=True)
class Launch:
    """A command as this machine runs it."""

    argv: list[str]
    environment: Mapping[str, str]
    folder: Path


async def start(launch: Launch, output: Path) -> asyncio.subprocess.Process:
    """Start a container's main process in a session of its own: it appends to `output`, dies with the fleet.

    Raises:
        CannotStart: there is nothing to run under that name, or nowhere to run it.
    """
    executable = _executable(launch)
    launcher = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid())]
    with output.open("ab") as stream:
        return await asyncio.create_subprocess_exec(
            *launcher,
            executable,
            *launch.argv[1:],
            env=dict(launch.environment),
            cwd=launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


@dataclass(frozen=True)
class Result:
    """How a command ended. `exit_code` is None when it ran out of time and was killed."""

    exit_code: int | None
    output: str


async def run(launch: Launch, timeout: float) -> Result:
    """Run a probe's or a hook's command to its end, for at most `timeout` seconds.

    Raises:
        CannotStart: there is nothing to run under that name, or nowhere to run it.
    """
    # A file and not a pipe: what the command leaves running in the background would hold a pipe open.
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            _executable(launch),
            *launch.argv[1:],
            env=dict(launch.environment),
            cwd=launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout):
                await process.wait()
        except TimeoutError:
            return Result(exit_code=None, output="")
        finally:
            kill_group(process)
            await process.wait()
        output.seek(max(0, output.seek(0, os.SEEK_END) - _OUTPUT_LIMIT))
        text = output.read().decode(errors="replace").strip()
    return Result(exit_code=exit_code(process), output=text)


def terminate(process: asyncio.subprocess.Process) -> None:
    """SIGTERM to the main process only: what a container's runtime does."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


def kill_group(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to the process and all it started, as the end of a container's first process means."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def exit_code(process: asyncio.subprocess.Process) -> int:
    """The exit code as a container reports it: 128 + n after signal n."""
    code = process.returncode
    if code is None:
        raise RuntimeError(f"process {process.pid} has not ended")
    return code if code >= 0 else 128 - code


def _executable(launch: Launch) -> str:
    found = shutil.which(launch.argv[0], path=launch.environment.get("PATH"))
    if not launch.folder.is_dir():
        raise CannotStart(f"working directory {launch.folder} does not exist")
    if found is None:
        raise CannotStart(f"{launch.argv[0]!r}: executable file not found in $PATH")
    return found


def sweep(state: Path) -> list[int]:
    """Kill container processes that an earlier fleet of this state folder left; their process ids."""
    found: list[int] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            variables = process.environ()
            if variables.get(PROCESS_MARKER) == str(state) and POD_VARIABLE in variables:
                process.kill()
                found.append(process.pid)
    return found
