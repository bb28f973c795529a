from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from stacks.load import STACKS
from stacks.plan import __main__ as command

TODAY = date(2026, 7, 21)


def test_command_answers_without_pulumi_and_what_the_program_needs():
    # A module that is set to None cannot be imported: what `make plan` has on a machine without the rest.
    absent = (
        "pulumi",
        "pulumi_kubernetes",
        "numpy",
        "scipy",
        "httpx",
        "kubernetes",
        "grafana_foundation_sdk",
    )
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r})); sys.argv = ['plan', 'prod']; "
        "import runpy; runpy.run_module('stacks.plan', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "chat-large" in done.stdout


@pytest.mark.parametrize("stack", sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml")))
def test_every_shipped_stack_answers_in_time(stack: str):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "stacks.plan", stack], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Under 2 s on a machine of one's own.
    assert time.perf_counter() - start < 6


def test_json_holds_the_figures_and_the_warnings(capsys: pytest.CaptureFixture[str]):
    assert command.main(["local", "--json"], date(2026, 11, 24)) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["usd_per_hour"]["minimum"] == 9.2637
    assert plan["models"][0]["fit"]["fits"] is True
    assert plan["warnings"][0].startswith("prices are up to 127 days old")


def test_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]):
    assert command.main(["locl"], TODAY) == 1
    assert "did you mean local?" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        command.main([], TODAY)
    assert ended.value.code == 2


def test_a_plan_above_its_budget_is_shown_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    text = (STACKS / "Pulumi.local.yaml").read_text(encoding="utf-8")
    text += "  llm-platform:budget: {monthly_usd: 10}\n" if "llm-platform:budget" not in text else ""
    text = text.replace("encryptionsalt", "# encryptionsalt")
    (tmp_path / "Pulumi.local.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(command.from_file, "__defaults__", (tmp_path,))
    assert command.main(["local"], TODAY) == 1
    said = capsys.readouterr()
    assert "chat-large" in said.out
    assert "budget.monthly_usd: 10 is less than" in said.err
