"""Workflows: actions pinned by commit, no permission beyond reading, no input in a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).resolve().parent.parent / ".github" / "workflows").glob("*.yaml"))

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values())


def test_there_is_one_for_pull_requests():
    assert "pull-request.yaml" in [path.name for path in WORKFLOWS]


@every_workflow
def test_actions_are_pinned_by_commit_with_the_version_beside_it(path: Path):
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@every_workflow
def test_a_job_may_read_the_repository_and_nothing_else(path: Path):
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"] == {}
    for job in jobs(path):
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 90


@every_workflow
def test_no_script_is_built_from_an_expression(path: Path):
    # What a pull request says, such as its branch, must not become a command.
    scripts = [step["run"] for job in jobs(path) for step in job["steps"] if "run" in step]
    assert scripts
    assert not any("${{" in script for script in scripts)
