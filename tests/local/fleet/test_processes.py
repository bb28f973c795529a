from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local.fleet.messages import termination_message
from local.fleet.processes import (
    POD_VARIABLE,
    CannotStart,
    Launch,
    exit_code,
    kill_group,
    run,
    start,
    sweep,
    terminate,
)
from local.paths import PROCESS_MARKER, ROOT


def launch(folder: Path, *argv: str) -> Launch:
    return Launch(list(argv), {"PATH": os.environ["PATH"], "GREETING": "hello"}, folder)


def started(folder: Path, *argv: str, signal_with: str = "") -> tuple[int, str]:
    async def scenario() -> int:
        process = await start(launch(folder, *argv), folder / "log")
        if signal_with:
            while (folder / "log").stat().st_size == 0:
                await asyncio.sleep(0.01)
            {"term": terminate, "kill": kill_group}[signal_with](process)
        await process.wait()
        return exit_code(process)

    return asyncio.run(scenario()), (folder / "log").read_text()


def test_a_process_gets_its_environment_its_folder_and_a_log(tmp_path: Path) -> None:
    code, log = started(tmp_path, "sh", "-c", "echo $GREETING; pwd; echo oops >&2; exit 7")
    assert (code, log) == (7, f"hello\n{tmp_path}\noops\n")


@pytest.mark.parametrize(("signal", "code"), [("term", 143), ("kill", 137)])
def test_a_signal_shows_in_the_exit_code(tmp_path: Path, signal: str, code: int) -> None:
    found, _ = started(tmp_path, sys.executable, "-uc", "print('up')\nwhile True: pass", signal_with=signal)
    assert found == code


def test_a_missing_command_is_told_apart_from_a_failing_one(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="'nonsense': executable file not found"):
        started(tmp_path, "nonsense")
    with pytest.raises(CannotStart, match=r"working directory .*/none does not exist"):
        asyncio.run(run(launch(tmp_path / "none", "true"), 1.0))


def test_a_file_that_is_no_program_says_so_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "data").chmod(0o755)
    code, log = started(tmp_path, str(tmp_path / "data"))
    assert code == 1
    assert log == f"{tmp_path}/data: Exec format error\n"


def test_hooks_return_their_output_and_end_in_time(tmp_path: Path) -> None:
    result = asyncio.run(run(launch(tmp_path, "sh", "-c", "echo out; echo err >&2; exit 2"), 5.0))
    assert (result.exit_code, result.output) == (2, "out\nerr")
    assert asyncio.run(run(launch(tmp_path, "sleep", "30"), 0.1)).exit_code is None


def test_a_containers_process_does_not_outlive_a_killed_fleet(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from local.fleet.processes import Launch, start

async def main():
    folder = Path("{tmp_path}")
    process = await start(Launch(["sleep", "60"], {{"PATH": "{os.environ["PATH"]}"}}, folder), folder / "log")
    print(process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    fleet = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert fleet.stdout is not None
    child = psutil.Process(int(fleet.stdout.readline()))
    assert child.is_running()
    fleet.kill()
    fleet.wait()
    fleet.stdout.close()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_only_marked_processes_of_this_state_folder_are_swept(tmp_path: Path) -> None:
    def sleeper(**variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], **variables})

    left = sleeper(**{PROCESS_MARKER: str(tmp_path), POD_VARIABLE: "u1"})
    control_plane = sleeper(**{PROCESS_MARKER: str(tmp_path)})
    other = sleeper(**{PROCESS_MARKER: str(tmp_path / "other"), POD_VARIABLE: "u1"})
    try:
        assert sweep(tmp_path) == [left.pid]
        assert left.wait(timeout=5) == -9
        assert (control_plane.poll(), other.poll()) == (None, None)
    finally:
        for process in (left, control_plane, other):
            process.kill()
            process.wait()


def test_termination_messages(tmp_path: Path) -> None:
    message, log = tmp_path / "message", tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(200)))
    assert termination_message(message, log, "File", 1) is None
    assert termination_message(message, log, "FallbackToLogsOnError", 0) is None
    tail = termination_message(message, log, "FallbackToLogsOnError", 1)
    assert tail is not None
    assert tail.splitlines()[-1] == "line 199"
    assert len(tail.splitlines()) == 80
    message.write_text(" model chat answers 404 \n")
    assert termination_message(message, log, "FallbackToLogsOnError", 1) == "model chat answers 404"
    message.write_text("x" * 5000)
    assert termination_message(message, log, "File", 0) == "x" * 4096
