"""What becomes of an adapter's earlier revisions on the claim."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .files import MANIFEST, say

REMOVED = "removed."
"""Beginning of the name of a folder that is being removed. The next stager removes what a killed one left."""


def remove_superseded(revisions: Path, current: Path) -> None:
    """Removes all folders of `revisions` but `current` and the one that was staged last before it.

    Replicas of that one run, and may start, until the update is through. Engines that ran on an earlier one
    were replaced before, as an update waits for them. A folder without a manifest is another stager's
    unfinished work and stays.
    """
    os.utime(current / MANIFEST)  # unchanged content is not written again: this run counts all the same
    others = [folder for folder in revisions.iterdir() if folder.is_dir() and not folder.is_symlink()]
    staged = [
        folder
        for folder in others
        if folder != current and not folder.name.startswith(REMOVED) and (folder / MANIFEST).is_file()
    ]
    staged.sort(key=lambda folder: (folder / MANIFEST).stat().st_mtime_ns)
    for folder in staged[:-1]:
        folder.rename(revisions / f"{REMOVED}{folder.name}")
        say(f"{folder}: removed, two later revisions of this adapter were staged")
    for leftover in revisions.glob(f"{REMOVED}*"):
        shutil.rmtree(leftover)
