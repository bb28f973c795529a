"""The stand-in's virtual environments, as Pulumi.yaml names them: no CLI needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import language_pb2

from local.pulumi.environment import EnvironmentFailure, install, python_of
from tests.local.pulumi.virtualenv import make_environment


def project(folder: Path, **options: Any) -> language_pb2.ProgramInfo:
    info = language_pb2.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point="."
    )
    info.options.update(options)
    return info


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    make_environment(tmp_path / ".venv")
    return tmp_path


def test_without_a_virtualenv_and_with_ones_own_the_host_runs_the_program_itself(tmp_path):
    assert python_of(project(tmp_path)) is None
    assert python_of(project(tmp_path, toolchain="pip", virtualenv=sys.prefix)) is None
    (tmp_path / "linked").symlink_to(sys.prefix)
    assert python_of(project(tmp_path, virtualenv="linked")) is None


@pytest.mark.parametrize("virtualenv", [".venv", "../{name}/.venv", "{folder}/.venv"])
def test_the_path_is_relative_to_the_project_file(prepared, virtualenv):
    virtualenv = virtualenv.format(name=prepared.name, folder=prepared)
    python = python_of(project(prepared, toolchain="pip", virtualenv=virtualenv))
    assert python is not None
    assert python.samefile(prepared / ".venv" / "bin" / "python")
    # Not resolved: a virtual environment is known by the path of the link to its interpreter.
    assert python.is_relative_to(prepared / virtualenv)


def test_a_missing_or_empty_environment_is_named_with_its_cure(tmp_path):
    (tmp_path / "empty" / "bin").mkdir(parents=True)
    (tmp_path / "empty" / "bin" / "python").touch()
    for name in ("missing", "empty"):
        with pytest.raises(EnvironmentFailure) as raised:
            python_of(project(tmp_path, virtualenv=name))
        assert str(tmp_path / name) in str(raised.value)
        assert "run `pulumi install`" in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("toolchain", ["uv", "poetry"])
def test_other_toolchains_are_refused(tmp_path, toolchain):
    for use in (python_of, lambda info: list(install(info))):
        with pytest.raises(EnvironmentFailure, match=f'toolchain "{toolchain}".*official pulumi-language'):
            use(project(tmp_path, toolchain=toolchain))


def test_install_reads_the_requirements_beside_the_program(prepared):
    (prepared / "requirements.txt").write_text("# what is there already\npulumi\n-r more.txt\n")
    (prepared / "more.txt").write_text("pydantic\n")
    said = "".join(install(project(prepared, virtualenv=".venv")))
    assert "Requirement already satisfied: pulumi in" in said
    assert "Requirement already satisfied: pydantic in" in said


def test_a_failed_install_says_what_was_run_after_what_pip_said(prepared):
    (prepared / "requirements.txt").write_text("-r missing.txt\n")
    said: list[str] = []
    with pytest.raises(EnvironmentFailure, match=r"pip install .* -r requirements.txt` failed"):
        said.extend(install(project(prepared, virtualenv=".venv")))


def test_install_makes_the_environment(tmp_path):
    said = "".join(install(project(tmp_path, virtualenv=".venv")))
    assert str(tmp_path / ".venv") in said
    assert (tmp_path / ".venv" / "bin" / "python").is_file()
    assert not list((tmp_path / ".venv").glob("lib/python*/site-packages/pulumi"))
