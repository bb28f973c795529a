"""The language host: on its own, and running programs and policy packs under the real CLI."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.pulumi.language import entry_point, required_plugins
from tests.local.pulumi.project import Project


@pytest.mark.parametrize("entry", ["", "."])
def test_a_program_is_its_folder_unless_an_entry_point_is_named(entry):
    assert entry_point("/project", entry) == "/project"
    assert entry_point("/project", "main.py") == "/project/main.py"


def test_only_plugins_that_are_in_place_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert list(required_plugins()) == []
    (tmp_path / "plugins" / "resource-kubernetes-v4.34.2").mkdir(parents=True)
    assert [(plugin.name, plugin.version) for plugin in required_plugins()] == [("kubernetes", "v4.34.2")]


@pytest.mark.cluster
def test_a_program_that_refuses_its_configuration_ends_with_its_message_alone(project: Project):
    project.write('raise pulumi.RunError("node_pools[0].accelerator: unknown accelerator `l5`")')
    output = project.fail("preview")
    assert output.partition("Diagnostics:")[2].count("unknown accelerator `l5`") == 1


@pytest.mark.cluster
def test_a_faulty_program_shows_its_own_traceback(project: Project):
    project.write("def broken():\n    return 1 / 0\n\n\nbroken()")
    done = project.run("preview")
    assert done.code != 0
    assert "ZeroDivisionError" in done.output
    assert "__main__.py" in done.output
    assert "language.py" not in done.output


@pytest.mark.cluster
def test_policy_packs_judge_the_preview(project: Project):
    pack = str(Path(__file__).with_name("policy_pack"))
    settings = """
k8s.core.v1.ConfigMap("settings", metadata={{"namespace": "default"}}, data={{"a": "{}"}}, opts=options())
"""
    project.write(settings.format(1))
    assert "a must not be 1" in project.fail("preview", "--policy-pack", pack)
    project.write(settings.format(2))
    project.succeed("preview", "--policy-pack", pack)
