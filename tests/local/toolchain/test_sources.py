from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.toolchain import sources
from local.toolchain.catalogue import Release, Tool
from local.toolchain.sources import ReleaseSites, ToolFailure
from tests.listening import listening


def script(folder: Path, name: str, answer: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("answer", "fits"),
    [("tiny version v1.2.9", True), ("2.0.0", False), ("1.1.9 linux", False), ("no version at all", False)],
)
def test_a_binary_on_path_is_used_only_if_its_version_fits(
    tiny: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, fits: bool
) -> None:
    path = script(tmp_path / "bin", "tiny", answer)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    assert sources.on_path(tiny) == (path if fits else None)


def test_the_clusters_own_links_do_not_count_as_installed(
    tiny: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path / "bin", "tiny", "1.2.3")
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.setattr(sources, "BIN", path.parent)
    assert sources.on_path(tiny) is None


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A release site on loopback: a plain binary, an archive, and their checksums."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "tiny").write_bytes(b"program")
    (folder / "tiny.sha256").write_text(hashlib.sha256(b"program").hexdigest() + "\n")
    with tarfile.open(folder / "tiny.tar.gz", "w:gz") as tar:
        for name in ("tiny/tiny", "tiny/beside"):
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
    archive = hashlib.sha256((folder / "tiny.tar.gz").read_bytes()).hexdigest()
    (folder / "SUMS").write_text(f"{'0' * 64}  other.tar.gz\n{archive}  tiny.tar.gz\n")
    (folder / "WRONG").write_text(f"{'0' * 64}  tiny.tar.gz\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    with listening(server):
        yield f"http://127.0.0.1:{server.server_port}"


def test_a_plain_release_is_verified_and_executable(tiny: Tool, site: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    sources.download(tiny, Release(f"{site}/tiny", f"{site}/tiny.sha256"), target)
    assert (target / "tiny").read_bytes() == b"program"
    assert (target / "tiny").stat().st_mode & 0o111


def test_an_archive_gives_the_program_and_what_belongs_beside_it(
    tiny: Tool, site: str, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    release = Release(f"{site}/tiny.tar.gz", f"{site}/SUMS", "tiny/tiny", ("tiny/beside",))
    sources.download(tiny, release, target)
    assert sorted(file.name for file in target.iterdir()) == ["beside", "tiny"]


@pytest.mark.parametrize("sums", ["WRONG", "SUMS"])
def test_a_release_with_another_sum_is_refused(tiny: Tool, site: str, tmp_path: Path, sums: str) -> None:
    target = tmp_path / "out"
    target.mkdir()
    # With the right list it is the other file that is not listed.
    name = "tiny.tar.gz" if sums == "WRONG" else "tiny"
    with pytest.raises(ToolFailure, match="does not agree"):
        sources.download(tiny, Release(f"{site}/{name}", f"{site}/{sums}"), target)


def test_a_missing_release_names_tool_and_address(tiny: Tool, site: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(ToolFailure, match=r"tiny: download of .*/absent failed"):
        sources.download(tiny, Release(f"{site}/absent", f"{site}/tiny.sha256"), target)


def test_downloads_can_be_switched_off(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ReleaseSites().reachable(site)
    monkeypatch.setenv("LLM_PLATFORM_DOWNLOADS", "off")
    assert not ReleaseSites().reachable(site)


def test_a_failed_build_shows_tool_command_and_the_end_of_its_log(tiny: Tool, tmp_path: Path) -> None:
    (tiny.module.folder / "main.go").write_text("package main\n\nfunc main() { undefinedName() }\n")
    log = tmp_path / "tiny.log"
    with pytest.raises(ToolFailure) as failure:
        sources.build(tiny, tmp_path, log, tick=lambda: None)
    text = str(failure.value)
    assert "tiny 1.2.3: build failed" in text
    assert "go build -trimpath" in text
    assert "undefined: undefinedName" in text
    assert str(log) in text


def test_an_edit_that_no_longer_applies_is_an_error_not_a_silent_build(tiny: Tool, tmp_path: Path) -> None:
    from local.toolchain.catalogue import SourceEdit

    edit = SourceEdit("tiny", "main.go", "text that is not there", "")
    edited = replace(tiny, module=replace(tiny.module, edits=(edit,)))
    with pytest.raises(ToolFailure, match="is not there any more"):
        sources.build(edited, tmp_path, tmp_path / "log", tick=lambda: None)
