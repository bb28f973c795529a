"""`python -m stacks.commands.policy_check`: what it prints, for people and for scripts, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serving.images.pinned import IMAGES
from stacks import load
from stacks.commands import policy_check as check
from stacks.problems import Problem, StackError

WAIVER = {"resource": "Deployment/*/chat", "reason": "measured on the real machine", "expires": "9999-12-31"}


@pytest.fixture
def configuration(tmp_path: Path):
    """Writes a file for --policy-pack-config and gives the argument."""

    def write(values: dict[str, Any]) -> list[str]:
        path = tmp_path / "policies.json"
        path.write_text(json.dumps(values))
        return ["--policy-pack-config", str(path)]

    return write


def test_the_local_stack_passes_and_the_report_says_what_it_rests_on(capsys):
    assert check.main(["local"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Judged by inputs only: no cluster and no cloud was asked" in printed
    assert "0 mandatory" in printed


def test_the_report_for_scripts(capsys, configuration):
    config = configuration({"COST-001": {"usd_per_hour": 1}, "GPU-001": {"waivers": [WAIVER]}})
    assert check.main(["local", "--json", *config]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["stack"] == "local"
    assert report["passed"] is False
    first = report["findings"][0]
    assert (first["rule"], first["level"], first["severity"]) == ("COST-001", "mandatory", "high")
    assert first["message"].startswith("stack: node pools may reach")
    assert first["remediation"]
    assert first["url"] == "docs/policies.md#cost-001"
    assert report["waivers"] == [{"rule": "GPU-001", **WAIVER}]
    waived = [row.reference for row in IMAGES.values() if row.waiver is not None]
    assert [entry["image"] for entry in report["images_without_digest"]] == waived
    assert report["resources"] > 40


def test_a_violation_is_shown_with_its_remedy_and_a_waiver_with_its_reason(capsys, configuration):
    config = configuration({"COST-001": {"usd_per_hour": 1}, "GPU-001": {"waivers": [WAIVER]}})
    assert check.main(["local", *config]) == 1
    printed = capsys.readouterr().out
    assert "COST-001" in printed
    assert "Lower" in printed
    assert "Waived: GPU-001 for Deployment/*/chat until 9999-12-31" in printed
    assert "1 mandatory" in printed


def test_what_is_advisory_is_no_failure(capsys, configuration):
    entry = {"usd_per_hour": 1, "enforcementLevel": "advisory"}
    assert check.main(["local", *configuration({"COST-001": entry})]) == 0
    assert "COST-001" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["lokal"], "did you mean local?"), (["local", "--policy-pack-config", "none.json"], "no such file")],
)
def test_what_cannot_be_judged_is_no_pass(capsys, arguments, said):
    assert check.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err


def test_a_stack_that_is_refused_before_it_registers_is_no_pass(capsys, monkeypatch):
    def refuse(name: str):
        raise StackError(f"Pulumi.{name}.yaml", [Problem("models[0]", "does not fit")])

    monkeypatch.setattr(check, "from_file", refuse)
    assert check.main(["local"]) == 2
    assert "models[0]" in capsys.readouterr().err


def test_the_configuration_beside_the_stack_file_is_used(capsys, monkeypatch, tmp_path):
    tmp_path.joinpath("policies.local.json").write_text('{"COST-001": {"usd_per_hour": 1}}')
    monkeypatch.setattr(check, "STACKS", tmp_path)
    assert check.main(["local"]) == 1
    assert "COST-001" in capsys.readouterr().out


def test_every_shipped_stack_is_judged_in_a_few_seconds(capsys):
    for file in sorted(load.STACKS.glob("Pulumi.*.yaml")):
        name = file.name.split(".")[1]
        assert check.main([name, "--json"]) == 0, name
        report = json.loads(capsys.readouterr().out)
        built_here = load.from_file(name).cluster.provider == "local"
        # Whether keys have been made already differs from checkout to checkout.
        scope = [line for line in report["scope"] if not line.startswith("gateway.tokens.public_keys: ")]
        assert len(scope) == (1 if built_here else 2)
