from __future__ import annotations

from pathlib import Path

import pytest

from local.toolchain.catalogue import GoModule, Tool

PROGRAM = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello v1.2.3") }\n'


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """A Go program without dependencies: builds in a second, in a tool cache of the test's own."""
    monkeypatch.setattr("local.toolchain.obtain.TOOL_CACHE", tmp_path / "cache")
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "go.mod").write_text("module tiny\n\ngo 1.26.0\n")
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text(PROGRAM)
    module = GoModule("tiny", folder, ("-s", "-w"), (), ())
    return Tool("tiny", module, "tiny", "tiny", "1.2.3", 1.0, ">=1.2,<2", ("--version",))
