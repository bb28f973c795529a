from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from local.toolchain import obtain as module
from local.toolchain.catalogue import Tool
from local.toolchain.obtain import obtain
from local.toolchain.sources import ToolFailure


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_tool_is_built_once_and_found_in_the_cache_by_another_checkout(
    tiny: Tool, console: Console
) -> None:
    first = obtain(console, (tiny,))
    assert first.tools[0].origin == "build"
    assert subprocess.run([first.path("tiny")], capture_output=True, text=True, check=True).stdout == (
        "hello v1.2.3\n"
    )
    second = obtain(console, (tiny,))
    assert second.tools[0].origin == "cache"
    assert second.path("tiny") == first.path("tiny")


def test_progress_says_what_is_built_and_how_long_it_took(tiny: Tool, console: Console) -> None:
    obtain(console, (tiny,))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "tiny 1.2.3: building (about 1 s)"
    assert lines[-1].startswith("tiny 1.2.3: built in ")


def test_a_failed_build_leaves_nothing_that_looks_like_a_tool(
    tiny: Tool, console: Console, tmp_path: Path
) -> None:
    source = tiny.module.folder / "main.go"
    working = source.read_text()
    source.write_text("package main\n")
    with pytest.raises(ToolFailure):
        obtain(console, (tiny,))
    assert [path.suffix for path in (tmp_path / "cache" / "tools").iterdir()] == [".lock"]
    source.write_text(working)
    assert obtain(console, (tiny,)).tools[0].origin == "build"


def test_without_go_the_message_says_what_to_install(
    tiny: Tool, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_go_version", lambda: None)
    with pytest.raises(ToolFailure, match=r"tiny 1\.2\.3: .*Go >= 1\.26, which is not installed"):
        obtain(console, (tiny,))


def test_an_old_go_is_named(tiny: Tool, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_go_version", lambda: "go1.25.4")
    with pytest.raises(ToolFailure, match=r"Go go1\.25\.4 is too old"):
        obtain(console, (tiny,))
