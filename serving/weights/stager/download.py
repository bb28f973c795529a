"""Weights from the hub: bringing what is needed of a repository to the volume."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO

from .choice import INDEX, choose, index_parts
from .exclusive import part, remove, sweep
from .files import (
    MANIFEST,
    PARTIAL,
    Content,
    File,
    Held,
    Interrupted,
    Progress,
    Refused,
    content,
    is_file,
    is_pickle,
    say,
    shown,
    size_text,
)
from .hub import ATTEMPTS, Broken, OtherLength, Repository, pause

DOWNLOADS_AT_ONCE = 4
"""One connection to the hub brings 0.05 to 0.2 GiB/s; four fill 10 Gbit/s on a good day."""

RECEIVED_BYTES = 256 * 1024
"""Written at once: at most this much of each transfer is lost when a stager is killed."""


def from_hub(folder: Path, hub: Repository) -> tuple[Sequence[Held], int]:
    """Downloads what is missing or wrong. Returns what is there now, and how many bytes were moved."""
    repository, revision = hub.repository, hub.revision
    listed = hub.files()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARTIAL).mkdir(exist_ok=True)
    index = next((file for file in listed if file.path == INDEX), None)
    parts = None
    if index is not None:
        fetch(hub, index, folder, Progress(repository, index.size))
        parts = index_parts(folder / INDEX, repository)
    chosen = choose(listed, parts, repository)
    total = sum(file.size for file in chosen)
    _fits(folder, total, repository)
    skipped = sum(is_pickle(file.path) for file in listed)
    say(
        f"{repository} {revision[:8]}: {len(chosen)} of {len(listed)} files, {size_text(total)}, from "
        f"{hub.endpoint}" + (f"; {skipped} pickled files left out" if skipped else "")
    )
    remove_others(folder, {file.path for file in chosen})
    sweep(folder, {file.identity for file in chosen})
    progress = Progress(repository, total)
    # The largest first: four connections are then busy to the end.
    ordered = sorted(chosen, key=lambda file: -file.size)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        results = list(pool.map(lambda file: fetch(hub, file, folder, progress), ordered))
    sweep(folder, set())
    held = sorted((held for held, _ in results), key=lambda file: file.path)
    return held, sum(moved for _, moved in results)


def _fits(folder: Path, total: int, repository: str) -> None:
    room = shutil.disk_usage(folder).total
    if total > room:
        raise Refused(
            f"{repository}: {size_text(total)} are listed, and the whole volume has {size_text(room)}: give "
            "the model's claim more storage, or check the revision"
        )


def fetch(hub: Repository, file: File, folder: Path, progress: Progress) -> tuple[Held, int]:
    """The file on the volume with the right content, and the bytes moved for it.

    What is read for the checksum is the file at rest, after it was written and closed to others.
    Raises Refused for content that is not the revision's, and Interrupted.
    """
    target = folder / file.path
    if is_file(target) and target.stat().st_size == file.size:
        there = content(target, file)
        if there.right:
            progress.add(file.size, moved=False)
            return there.held(), 0
        say(f"{target}: its checksum is wrong; downloading it again")
    withdraw(folder)
    # What an earlier run left may be wrong, or a cache in between: a wrong whole is thrown away once.
    there, moved, _ = _complete(hub, file, folder, progress)
    if not there.right:
        there, again, got = _complete(hub, file, folder, progress)
        moved += again
        if not there.right:
            raise Refused(
                f"{hub.repository}: {file.path} is not the file of revision {hub.revision[:8]}: expected "
                f"{there.expected}, got {got}"
            )
    return there.held(), moved


def _complete(hub: Repository, file: File, folder: Path, progress: Progress) -> tuple[Content, int, str]:
    """Brings a part to its end, and to its place if it is right. Returns what it holds, how many bytes were
    moved, and what there was instead of the file."""
    with part(folder, file) as (path, stream):
        length, moved = _transfer(hub, file, stream, progress)
        stream.flush()
        path.chmod(0o644)
        os.fsync(stream.fileno())
        there = content(path, file)
        if there.right:
            _place(path, folder / file.path)
        else:
            path.unlink()
        return there, moved, there.found if length is None else length


def _place(path: Path, target: Path) -> None:
    """Gives a verified part its name. What a link or a folder of that name leads to is not touched."""
    if target.parent.is_symlink():
        target.parent.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.is_dir():
        remove(target)
    path.replace(target)
    # The manifest must not outlive a power cut that the names of its files do not.
    for folder in (target.parent, path.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _transfer(hub: Repository, file: File, stream: IO[bytes], progress: Progress) -> tuple[str | None, int]:
    """Brings a part to its end, right or wrong. Returns the length if the server named another one, and how
    many bytes were moved."""
    moved = failures = 0
    while True:
        before = stream.seek(0, os.SEEK_END)
        problem: str | None = None
        try:
            _append(hub, file, stream, before)
        except OtherLength as other:
            stream.truncate(0)
            return f"{other.size} bytes", moved
        except Broken as broken:
            problem = str(broken)
        gained = max(0, stream.seek(0, os.SEEK_END) - before)
        progress.add(gained, moved=True)
        moved += gained
        if problem is None:
            return None, moved
        failures = 1 if gained > 0 else failures + 1
        if failures >= ATTEMPTS:
            raise Interrupted(f"{hub.repository}: {file.path}: {problem}, {failures} times")
        pause(failures - 1)


def _append(hub: Repository, file: File, stream: IO[bytes], begin: int) -> None:
    """Adds what is missing of a part that has `begin` bytes, or replaces it by what the server sends whole.

    Raises Broken, OtherLength, and OSError of the volume.
    """
    if begin >= file.size > 0:
        return
    with closing(hub.content(file, begin)) as answer:
        if answer.begin != begin:
            stream.truncate(0)
        size = answer.begin
        while size <= file.size and (block := answer.read(RECEIVED_BYTES)):
            stream.write(block)
            size += len(block)
    if size < file.size:
        raise Broken("the connection ended early")


def withdraw(folder: Path) -> None:
    """Takes the manifest away before anything changes: where it is, everything is."""
    (folder / MANIFEST).unlink(missing_ok=True)


def remove_others(folder: Path, wanted: set[str]) -> None:
    """Removes what an engine would find beside the wanted files: files, links, folders and whatever else has
    a name. Our own files stay."""
    folders = {parent.as_posix() for name in wanted for parent in Path(name).parents}
    _remove_others(folder, "", wanted, folders)


def _remove_others(top: Path, prefix: str, wanted: set[str], folders: set[str]) -> None:
    for entry in list(os.scandir(top / prefix)):
        name = f"{prefix}{entry.name}"
        if name in (MANIFEST, PARTIAL):
            continue
        if entry.is_dir(follow_symlinks=False) and name in folders:
            _remove_others(top, f"{name}/", wanted, folders)
        elif name not in wanted or not entry.is_file(follow_symlinks=False):
            withdraw(top)
            say(f"{top}: {shown(name)} is not part of the revision; removed")
            remove(Path(entry.path))
