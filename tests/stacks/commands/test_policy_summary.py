"""`python -m stacks.commands.policy_summary`: the verdicts first, what stacks have in common once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stacks.commands import policy_summary
from stacks.load import PROJECT, STACKS
from tests.stacks.environments import local_values, merged


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stack files in place of the shipped ones: two that are alike."""
    for name in ("one", "two"):
        write(tmp_path, name)
    monkeypatch.setattr(policy_summary, "STACKS", tmp_path)
    monkeypatch.setattr(policy_summary, "from_file", lambda name: load_file(name, tmp_path))
    monkeypatch.setattr("stacks.commands.policy_check.STACKS", tmp_path)
    return tmp_path


def load_file(name: str, folder: Path):
    from stacks.load import from_file

    return from_file(name, folder)


def write(folder: Path, name: str, **changes: object) -> None:
    config = {f"{PROJECT}:{key}": value for key, value in merged(local_values(), changes).items()}
    (folder / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")


def test_stacks_that_pass_are_one_line_and_the_rest_is_folded(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert policy_summary.main([]) == 0
    shown, hidden = capsys.readouterr().out.split("<details>")
    assert shown.strip() == "- Policies: `one`, `two`: no mandatory rule is broken"
    assert hidden.count("Judged by inputs only") == 1
    assert "- `one`, `two`: `Judged by inputs only" in hidden


def test_what_is_broken_comes_first_with_its_remedy(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "policies.two.json").write_text('{"COST-001": {"usd_per_hour": 1}}')
    assert policy_summary.main([]) == 1
    shown = capsys.readouterr().out.split("<details>")[0].splitlines()
    assert shown[0] == "- **Policies: `two` is refused** by `COST-001`"
    assert shown[1] == "- Policies: `one`: no mandatory rule is broken"
    (row,) = [
        line for line in shown if line.startswith("| `COST-001` | `two` | `stack: node pools may reach")
    ]
    assert row.count(" | ") == 2
    assert any(line.startswith("- `COST-001`: `Lower") for line in shown)


def test_a_stack_whose_plan_fails_is_not_judged_and_its_errors_are_not_repeated(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    write(folder, "one", gateway=3)
    write(folder, "two", budget={"monthly_usd": 1})
    assert policy_summary.main([]) == 1
    assert capsys.readouterr().out == (
        "- **Policies: `one` cannot be judged**: its plan fails, `make plan-diff` says why\n"
        "- **Policies: `two` cannot be judged**: its plan fails, `make plan-diff` says why\n"
    )


def test_a_configuration_that_cannot_be_read_is_no_pass(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "policies.two.json").write_text('{"NO-SUCH-RULE": "disabled"}')
    assert policy_summary.main(["two"]) == 1
    assert capsys.readouterr().out.startswith("- **Policies: `two` cannot be judged**: `")


def test_all_shipped_stacks_are_judged_without_a_name(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    monkeypatch.setattr(policy_summary, "judge", lambda name: seen.append(name) or "not now")
    policy_summary.main([])
    assert seen == sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml"))
