"""The folder that `make policy-pack` makes: it has to work where there is no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from policies import process
from policies.pack import RULES
from policies.process import Subject, running_pack
from stacks import program
from stacks.load import STACKS
from tests.recording import record
from tests.stacks.environments import stack_on

ROOT = STACKS.parent


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-s", "policy-pack", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "package"
    done = make(f"OUT={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_it_judges_as_the_pack_of_the_checkout(published, tmp_path, monkeypatch):
    stack = stack_on(tmp_path / "kubeconfig")
    recording = record(lambda: program.export(program.build(stack)))
    subjects = [Subject(item.type, item.name, item.urn, item.parent, item.inputs) for item in recording]
    budget = {"llm-platform:budget": '{"monthly_usd": 1}'}
    found = {}
    for folder in (process.PACK, published):
        monkeypatch.setattr(process, "PACK", folder)
        with running_pack(budget, stack="local", project="llm-platform") as pack:
            assert len(pack.rules) == len(RULES)
            pack.configure({})
            found[folder] = pack.judge(subjects)
    one, other = found.values()
    assert one == other
    assert "COST-001" in {finding.rule for finding in one}


IMPORTED = """
import runpy, sys
import pulumi_policy
pulumi_policy.PolicyPack = lambda *arguments, **named: None
runpy.run_path(".", run_name="__main__")
files = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
print(*filter(None, files), sep="\\n")
"""


def test_everything_that_it_imports_is_in_its_folder(published):
    listed = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        cwd=published,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    own = [file for file in listed if file.startswith(str(published.resolve()))]
    assert len(own) > len(RULES)
    assert not [file for file in listed if file.startswith(f"{ROOT}/") and "/site-packages/" not in file]


def test_it_brings_an_environment_of_its_own_with_the_pins_of_the_lock_file(published):
    runtime = yaml.safe_load((published / "PulumiPolicy.yaml").read_text())["runtime"]
    # Relative to the folder, and inside of it: where Pulumi puts a published pack, others lie beside it.
    assert runtime == {"name": "python", "options": {"toolchain": "pip", "virtualenv": "venv"}}
    wanted = (published / "requirements.txt").read_text().splitlines()
    assert wanted[0] == "-c constraints.txt"
    pins = dict(line.split("==") for line in (published / "constraints.txt").read_text().splitlines())
    lock = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert pins == dict(lock)
    assert {name.lower() for name in wanted[1:]} <= set(pins)


def test_a_missing_folder_is_named():
    done = make()
    assert done.returncode != 0
    assert "OUT is missing: make policy-pack OUT=FOLDER" in done.stderr
