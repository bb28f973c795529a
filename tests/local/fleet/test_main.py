from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.paths import ROOT


def fleet(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "LLM_PLATFORM_STATE": str(tmp_path / "state")}
    return subprocess.run(
        [sys.executable, "-m", "local.fleet", *arguments],
        env={**os.environ, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_without_a_cluster_it_says_so_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    done = fleet(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"fleet: {tmp_path}/kubeconfig: no such file; start the cluster first (make up)\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "fast"])
def test_a_scale_that_is_no_number_from_0_on_is_refused(tmp_path: Path, value: str) -> None:
    done = fleet(tmp_path, f"--cold-start-scale={value}")
    assert done.returncode == 2
    assert "--cold-start-scale" in done.stderr
    assert "Traceback" not in done.stderr
