"""A copy without `local` and its tests still plans, judges, registers and passes the tests that are left.

It imports all of these, and runs a quick part; `make test-without-local` runs all but those of `traffic`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stacks.load import STACKS

# Not quick: it imports every test once more.
pytestmark = pytest.mark.traffic

ROOT = STACKS.parent
REMOVED = ("local", "tests/local", "tests/test_without_local.py")
QUICK = "tests/test_imports.py tests/infra tests/serving/test_workload.py tests/stacks/program/test_golden.py"
TESTS = os.environ.get("LLM_PLATFORM_TESTS_WITHOUT_LOCAL", QUICK).split()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without") / "checkout"
    kept = [f":(exclude){path}" for path in REMOVED]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".", *kept],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            # With its time: make would otherwise take the lock files for newer than the environment.
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    # A test asks git what may be committed.
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def run(copy: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("stack", sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml")))
def test_every_stack_is_planned(copy: Path, stack: str):
    assert "per hour" in run(copy, "stacks.plan", stack)


def test_the_policies_judge_what_the_program_registers(copy: Path):
    assert " 0 mandatory " in run(copy, "stacks.commands.policy_check", "local")


def test_every_test_that_is_left_can_be_imported(copy: Path):
    # Collecting fails if one of them imports what is gone.
    assert "no tests" not in run(copy, "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")


def test_the_tests_that_are_left_pass(copy: Path):
    run(copy, "pytest", "-q", "-m", "not traffic", "--numprocesses", "2", "--dist", "worksteal", *TESTS)
