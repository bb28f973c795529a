from __future__ import annotations

import pytest

from local.pulumi.language import entry_point, required_plugins


@pytest.mark.parametrize("entry", ["", "."])
def test_a_program_is_its_folder_unless_an_entry_point_is_named(entry):
    assert entry_point("/project", entry) == "/project"
    assert entry_point("/project", "main.py") == "/project/main.py"


def test_only_plugins_that_are_in_place_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert list(required_plugins()) == []
    (tmp_path / "plugins" / "resource-kubernetes-v4.34.2").mkdir(parents=True)
    assert [(plugin.name, plugin.version) for plugin in required_plugins()] == [("kubernetes", "v4.34.2")]
