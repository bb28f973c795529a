"""One real cluster for every test that needs one, in a state folder of this test run.

The folder is named after the process, so that several runs can go on side by side; what a killed run left
behind is taken down by the next one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from rich.console import Console

if TYPE_CHECKING:
    from local.cluster.cluster import Cluster
    from local.toolchain.obtain import Toolchain

RUNS = Path(tempfile.gettempdir()) / "llm-platform-tests"

# Before anything imports local.paths, hence the imports inside the fixtures: no test may touch the cluster
# that a person is using.
os.environ["LLM_PLATFORM_STATE"] = str(RUNS / str(os.getpid()))

COLD_START_SCALE = 0.01
"""Share of a real start-up that the emulators take here: every stage is passed through, nobody waits."""


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    from local.toolchain.obtain import obtain

    return obtain(Console(stderr=True))


@pytest.fixture(scope="session")
def cluster(toolchain: Toolchain) -> Iterator[Cluster]:
    """The embedded cluster, running: control plane, Karpenter, fleet. Taken down at the end of the run."""
    from local.cluster import cluster as embedded
    from local.cluster.processes import leftovers

    _take_down_killed_runs()
    try:
        yield embedded.up(toolchain, COLD_START_SCALE, lambda line: print(line, file=sys.stderr))
    finally:
        embedded.down()
    assert leftovers() == []


def _take_down_killed_runs() -> None:
    from local.paths import ROOT

    for folder in RUNS.glob("*"):
        if folder.name.isdigit() and not psutil.pid_exists(int(folder.name)):
            subprocess.run(
                [sys.executable, "-m", "local", "down"],
                env={**os.environ, "LLM_PLATFORM_STATE": str(folder)},
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
