"""A claim keeps the revision that is served and the one before it, whichever way updates went."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from serving.weights.layout import MANIFEST
from serving.weights.stager.superseded import REMOVED, remove_superseded


def staged(revisions: Path, name: str, at: int) -> Path:
    folder = revisions / name
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    (folder / MANIFEST).write_text("{}")
    os.utime(folder / MANIFEST, (at, at))
    return folder


@given(updates=st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_the_last_two_revisions_stay(updates: list[str]):
    with TemporaryDirectory() as temporary:
        revisions = Path(temporary)
        for at, name in enumerate(updates):
            remove_superseded(revisions, staged(revisions, name, at))
            before = [other for other in updates[:at] if other != name]
            assert {folder.name for folder in revisions.iterdir()} == {name, *before[-1:]}


def test_unfinished_work_links_and_files_stay_and_broken_removals_are_finished(tmp_path: Path):
    revisions = tmp_path / "polite"
    revisions.mkdir()
    (revisions / "unfinished" / ".partial").mkdir(parents=True)
    elsewhere = staged(tmp_path, "elsewhere", 1)
    (revisions / "link").symlink_to(elsewhere)
    (revisions / "file").write_text("")
    staged(revisions, f"{REMOVED}old", 1)
    for at, name in enumerate("abc", start=2):
        staged(revisions, name, at)
    remove_superseded(revisions, revisions / "c")
    assert {path.name for path in revisions.iterdir()} == {"unfinished", "link", "file", "b", "c"}
    assert (elsewhere / MANIFEST).is_file()
