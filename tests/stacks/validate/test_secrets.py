"""A stack file with a credential in it is refused by its path, and the credential is shown nowhere."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.load import STACKS, from_file, parse
from stacks.plan.__main__ import main
from stacks.problems import StackError
from tests.policies.test_credentials import TOKENS
from tests.stacks.environments import changed, local_values

TOKEN = f"hf_{'aB' * 17}"


def refused(values: dict[str, object]) -> list[str]:
    with pytest.raises(StackError) as raised:
        parse(values, "Pulumi.test.yaml")
    return str(raised.value).splitlines()[1:]


@pytest.mark.parametrize("path", ["models.0.name", "models.1.slo.ttft", "tags", "cluster.kubeconfig"])
@given(token=TOKENS)
def test_whatever_the_place_expects(path: str, token: str):
    (line,) = refused(changed(path, token) if path != "tags" else {**local_values(), "tags": {"a": token}})
    assert "docs/secrets.md" in line
    assert token not in line


def test_it_is_the_only_problem_that_is_reported():
    values = changed("models.0.name", TOKEN)
    values["models"][1]["engine"] = "unknown"
    values[TOKEN] = 1
    first, second = sorted(refused(values))
    assert first.strip().startswith("***: looks like a Hugging Face token: it is not shown here")
    assert second.strip().startswith("models[0].name: looks like a Hugging Face token")
    assert TOKEN not in first + second


def stack_file(folder: Path, change: str, by: str) -> str:
    text = (STACKS / "Pulumi.local.yaml").read_text(encoding="utf-8")
    assert change in text
    (folder / "Pulumi.test.yaml").write_text(text.replace(change, by, 1), encoding="utf-8")
    with pytest.raises(StackError) as raised:
        from_file("test", folder)
    assert TOKEN not in str(raised.value)
    return str(raised.value)


def test_configuration_of_other_programs_comments_and_broken_files(tmp_path: Path):
    inserted = stack_file(tmp_path, "config:\n", f"config:\n  aws:token: {TOKEN}\n")
    assert "config.aws:token: looks like" in inserted
    assert "line 5: looks like" in stack_file(tmp_path, "config:\n", f"config:\n# {TOKEN}\n")
    assert "line 4: looks like" in stack_file(tmp_path, "config:\n", f"config: {{{TOKEN}: [\n")
    twice = stack_file(tmp_path, "config:\n", f"config:\n  {TOKEN}: 1\n  {TOKEN}: 2\n")
    assert "line 5: looks like" in twice


@given(
    st.from_regex(
        r"v1:[A-Za-z0-9+/]{16}:[A-Za-z0-9+/]{8,200}={0,2}|[A-Za-z0-9+/]{40,200}={0,2}", fullmatch=True
    )
)
def test_encrypted_values_pass(ciphertext: str):
    with pytest.raises(StackError) as raised:
        parse({**local_values(), "password": {"secure": ciphertext}}, "Pulumi.test.yaml")
    assert "password: unknown key" in str(raised.value)


def test_the_plan_ends_without_showing_it(capsys, monkeypatch, tmp_path):
    stack_file(tmp_path, "name: chat\n", f"name: {TOKEN}\n")
    monkeypatch.setattr("stacks.plan.__main__.from_file", lambda name: from_file(name, tmp_path))
    assert main(["test"], date(2026, 11, 24)) == 1
    printed = capsys.readouterr()
    assert TOKEN not in printed.out + printed.err
    assert "models[0].name: looks like a Hugging Face token" in printed.err


def test_every_shipped_stack_passes():
    for file in STACKS.glob("Pulumi.*.yaml"):
        from_file(file.name.split(".")[1])
