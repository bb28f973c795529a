from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.commands.plan_diff import RevisionError, base_plan, main
from stacks.load import PROJECT
from tests.stacks.environments import aws_values

TODAY = date(2026, 7, 21)


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def write(root: Path, values: dict[str, Any], name: str = "prod") -> None:
    config = {f"{PROJECT}:{key}": value for key, value in values.items()}
    (root / "stacks").mkdir(exist_ok=True)
    path = root / "stacks" / f"Pulumi.{name}.yaml"
    path.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "change")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose main branch holds a stack `prod` and the schema."""
    git(tmp_path, "init", "-q", "-b", "main")
    write(tmp_path, aws_values())
    (tmp_path / "stacks" / "schema.json").write_text('{"version": 1}', encoding="utf-8")
    commit(tmp_path)
    return tmp_path


def difference(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["prod", *arguments], TODAY, root) == status
    return capsys.readouterr().out


def test_nothing_changed(root: Path, capsys: pytest.CaptureFixture[str]):
    text = difference(root, capsys)
    assert "No change in replicas, GPUs or money." in text
    assert "→" not in text


def test_more_load_means_more_replicas_gpus_and_money(root: Path, capsys: pytest.CaptureFixture[str]):
    values = aws_values()
    values["models"][0]["expected_load"]["requests_per_second"] = 4
    write(root, values)
    text = difference(root, capsys)
    # Three L4s become five: 2 x 0.9776 $/h x 730 h.
    assert "**+1427 $/month** under expected load" in text
    assert "1 / 3 / 5 → **1 / 5 / 5**" in text
    chat_large = next(line for line in text.splitlines() if line.startswith("| chat-large "))
    assert "→" not in chat_large


def test_new_and_removed_models_are_named(root: Path, capsys: pytest.CaptureFixture[str]):
    values = aws_values()
    values["models"][1]["name"] = "assistant"
    write(root, values)
    text = difference(root, capsys)
    assert "| assistant (new) | 2 x nvidia-rtx-pro-6000-96gb in g7e.12xlarge |" in text
    assert "| chat-large (removed) | ~~2 x nvidia-rtx-pro-6000-96gb in g7e.12xlarge~~ |" in text


def test_a_stack_that_the_base_does_not_have(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, aws_values(), name="other")
    assert main(["other"], TODAY, root) == 0
    text = capsys.readouterr().out
    assert "`main` has no stack `other`: everything in it is new." in text
    assert "→" not in text


def test_a_base_that_todays_rules_refuse_is_not_compared_and_says_why(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    values = aws_values()
    values["models"][0]["replcas"] = values["models"][0].pop("replicas")
    write(root, values)
    commit(root)
    git(root, "branch", "old")
    write(root, aws_values())
    text = difference(root, capsys, "--base", "old")
    assert "The stack file of `old` cannot be planned by today's rules" in text
    assert "- `models[0].replcas`: unknown key: did you mean replicas?" in text
    assert "$/month** under expected load, at most" in text


def test_an_older_schema_is_pointed_out(root: Path, capsys: pytest.CaptureFixture[str]):
    schema = root / "stacks" / "schema.json"
    schema.write_text('{"version": 0}', encoding="utf-8")
    commit(root)
    assert "`HEAD` has version 0 of the schema, this checkout 1" in difference(root, capsys, "--base", "HEAD")
    schema.unlink()
    commit(root)
    assert "`HEAD` has no schema" in difference(root, capsys, "--base", "HEAD")


def test_a_change_above_the_budget_is_refused(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, {**aws_values(), "budget": {"monthly_usd": 9000}})
    text = difference(root, capsys, status=1)
    assert "**Refused**: `budget.monthly_usd`: 9000 is less than" in text


def test_an_unknown_revision_says_what_to_do(root: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(RevisionError, match='git knows no revision "nowhere"'):
        base_plan("prod", "nowhere", root)
    assert main(["prod", "--base", "nowhere"], TODAY, root) == 1
    assert "git fetch origin nowhere" in capsys.readouterr().err


def test_a_broken_stack_file_is_one_line_and_no_difference(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, {**aws_values(), "gateway": 3})
    assert main(["prod"], TODAY, root) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "gateway: 3 must be a mapping" in said.err
