"""Weights from the hub: which files of a repository are needed, and bringing them to the volume."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO

from .files import (
    CHUNK_BYTES,
    MANIFEST,
    PARTIAL,
    PICKLE,
    TEXT,
    WEIGHTS,
    Checksum,
    File,
    Held,
    Interrupted,
    Progress,
    Refused,
    safe,
    say,
    size_text,
)
from .hub import ATTEMPTS, Repository, pause, reason

DOWNLOADS_AT_ONCE = 4
"""One connection to the hub brings 0.05 to 0.2 GiB/s; four fill 10 Gbit/s on a good day."""

INDEX = "model.safetensors.index.json"

MODULE = re.compile(r"\d+_[A-Za-z]+/[^/]+")
"""Folders of a sentence-transformers model, such as 1_Pooling; other folders hold the same weights again."""


def from_hub(folder: Path, hub: Repository) -> tuple[Sequence[Held], int]:
    """Downloads what is missing or wrong. Returns what is there now, and how many bytes were moved."""
    repository, revision = hub.repository, hub.revision
    listed = hub.files()
    folder.mkdir(parents=True, exist_ok=True)
    index = next((file for file in listed if file.path == INDEX), None)
    parts = None
    if index is not None:
        fetch(hub, index, folder, Progress(repository, index.size))
        parts = index_parts(folder / INDEX, repository)
    chosen = choose(listed, parts, repository)
    total = sum(file.size for file in chosen)
    skipped = sum(file.path.endswith(PICKLE) for file in listed)
    say(
        f"{repository} {revision[:8]}: {len(chosen)} of {len(listed)} files, {size_text(total)}, from "
        f"{hub.endpoint}" + (f"; {skipped} pickled files left out" if skipped else "")
    )
    remove_others(folder, {file.path for file in chosen})
    progress = Progress(repository, total)
    # The largest first: four connections are then busy to the end.
    ordered = sorted(chosen, key=lambda file: -file.size)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        results = list(pool.map(lambda file: fetch(hub, file, folder, progress), ordered))
    held = sorted((held for held, _ in results), key=lambda file: file.path)
    return held, sum(moved for _, moved in results)


def fetch(hub: Repository, file: File, folder: Path, progress: Progress) -> tuple[Held, int]:
    """The file on the volume with the right content, and the bytes moved for it.

    Raises Refused for content that is not the revision's, and Interrupted.
    """
    target = folder / file.path
    if target.is_file() and target.stat().st_size == file.size:
        checksum = Checksum(file)
        with target.open("rb") as stream:
            checksum.read(stream)
        if checksum.right():
            progress.add(file.size, moved=False)
            return Held(file.path, file.size, checksum.sha256()), 0
        say(f"{target}: its checksum is wrong; downloading it again")
    partial = folder / PARTIAL / f"{file.identity[:16]}-{file.path.replace('/', '--')}"
    partial.parent.mkdir(parents=True, exist_ok=True)
    checksum, moved = _complete(hub, file, partial, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.chmod(0o644)
    partial.replace(target)
    return Held(file.path, file.size, checksum.sha256()), moved


def _complete(hub: Repository, file: File, partial: Path, progress: Progress) -> tuple[Checksum, int]:
    """Brings a part of a file to its end. A wrong whole is thrown away once, and refused the second time:
    what an earlier run left may be wrong, or a cache in between."""
    checksum, moved = _transfer(hub, file, partial, progress)
    if not checksum.right():
        partial.unlink()
        checksum, again = _transfer(hub, file, partial, progress)
        moved += again
    if not checksum.right():
        partial.unlink()
        raise Refused(
            f"{hub.repository}: {file.path} is not the file of revision {hub.revision[:8]}: expected "
            f"{checksum.expected()}, got {checksum.found()}"
        )
    return checksum, moved


def _transfer(hub: Repository, file: File, partial: Path, progress: Progress) -> tuple[Checksum, int]:
    moved = failures = 0
    while True:
        checksum = Checksum(file)
        with partial.open("ab+") as stream:
            stream.seek(0)
            checksum.read(stream)
            before = checksum.size
            problem = _append(hub, file, stream, checksum)
        gained = max(0, checksum.size - before)
        progress.add(gained, moved=True)
        moved += gained
        if problem is None:
            return checksum, moved
        failures = 1 if gained > 0 else failures + 1
        if failures >= ATTEMPTS:
            raise Interrupted(f"{hub.repository}: {file.path}: {problem}, {failures} times")
        pause(failures - 1)


def _append(hub: Repository, file: File, stream: IO[bytes], checksum: Checksum) -> str | None:
    """Adds what is missing. Returns why the file is not complete yet; None if it is, or is too long."""
    begin = checksum.size
    if begin > file.size or (begin == file.size and begin > 0):
        return None
    try:
        with closing(hub.content(file.path, begin)) as answer:
            if begin > 0 and answer.status != 206:
                # The server sends everything again.
                stream.truncate(0)
                checksum.restart()
            while (block := answer.read(CHUNK_BYTES)) and checksum.size <= file.size:
                stream.write(block)
                checksum.update(block)
    except (OSError, http.client.HTTPException) as error:
        return reason(error)
    return None if checksum.size >= file.size else "the connection ended early"


def choose(listed: Sequence[File], parts: set[str] | None, repository: str) -> list[File]:
    """What an engine needs of a repository: weights as safetensors, configuration, tokenizer.

    parts: weights that the repository's index names; without an index, those at its root. Raises Refused.
    """
    chosen = [file for file in listed if _needed(file.path, parts)]
    weights = [file for file in chosen if file.path.endswith(WEIGHTS)]
    missing = sorted((parts or set()) - {file.path for file in weights})
    if missing:
        raise Refused(f"{repository}: {INDEX} names {missing[0]}, which the repository does not have")
    if not weights:
        pickled = [file.path for file in listed if file.path.endswith(PICKLE)]
        if pickled:
            raise Refused(
                f"{repository}: {pickled[0]} is refused (SUP-003): a pickle runs code while it is loaded, "
                "and the repository has no safetensors; choose one that has, or convert it"
            )
        raise Refused(f"{repository}: no .safetensors file in this revision, so there is nothing to serve")
    return chosen


def _needed(path: str, parts: set[str] | None) -> bool:
    if not safe(path):
        return False
    at_root = "/" not in path
    if path.endswith(WEIGHTS) and at_root and parts is not None:
        return path in parts
    return path.endswith((WEIGHTS, *TEXT)) and (at_root or MODULE.fullmatch(path) is not None)


def index_parts(path: Path, repository: str) -> set[str]:
    """Names of the weight files in an index. Raises Refused."""
    try:
        return set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Refused(f"{repository}: {INDEX} has no weight_map") from None


def remove_others(folder: Path, wanted: set[str]) -> None:
    """Removes what an engine would load beside the wanted files; parts of downloads stay."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in wanted and name != MANIFEST and not name.startswith(PARTIAL):
            path.unlink()
