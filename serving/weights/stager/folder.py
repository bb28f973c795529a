"""Weights that somebody else put into a folder, checked against the checksums beside them.

Whatever is there must be in SHA256SUMS: an engine may read any of it. What a name ends in decides one thing
only, that pickles are refused even where a checksum vouches for them.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .exclusive import LOCK
from .files import (
    CHECKSUMS,
    MANIFEST,
    PARTIAL,
    WEIGHTS,
    File,
    Held,
    Progress,
    Refused,
    content,
    is_pickle,
    possible,
    shown,
)

LEFTOVERS = (CHECKSUMS, MANIFEST, f"{PARTIAL}/{LOCK}")
"""Files that need no checksum: the list itself, and what a stager leaves."""

FILE_SYSTEMS_OWN = "lost+found/"
"""At the root of an ext4 volume, open to root alone. What can be read in it needs a checksum."""

COPYING = re.compile(r".+\.[0-9a-f]{8}\.partial")
"""What rclone (1.63 and newer) calls a file until it is whole. No engine looks for such a name."""

COPYING_SECONDS = 3600
"""rclone writes to it all the time: after this it is what a killed one left."""

MAX_CHECKSUMS_BYTES = 16 * 1024 * 1024
"""Of SHA256SUMS: some 150,000 files."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", re.DOTALL)


@dataclass(frozen=True)
class Verified:
    """held: each file of the list. checksums_sha256: of the list itself."""

    held: list[Held]
    checksums_sha256: str


def verified(folder: Path, source: str) -> Verified:
    """The files of a folder that somebody else filled, each checked against SHA256SUMS. Raises Refused."""
    present = {name: path for name, path in entries(folder, source) if not _is_copying(name, path, source)}
    text = _checksums_file(folder, source)
    wanted = dict(checksums(text, source))
    for name in sorted({*wanted, *present}):
        if is_pickle(name):
            raise Refused(
                f"{source}: {shown(name)} is refused (SUP-003): a pickle runs code while it is loaded; only "
                "safetensors are served"
            )
        if name in present and name not in wanted and name not in LEFTOVERS:
            raise Refused(
                f"{source}: {shown(name)} is not in {CHECKSUMS}, so nothing says that it is right: add its "
                "line, or remove it"
            )
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise Refused(f"{source}: {shown(missing[0])} is in {CHECKSUMS} and not in the folder")
    if not any(name.endswith(WEIGHTS) for name in wanted):
        raise Refused(f"{source}: no .safetensors file in {CHECKSUMS}, so there is nothing to serve")
    progress = Progress(source, sum(present[name].stat().st_size for name in wanted))
    held: list[Held] = []
    for name, expected in sorted(wanted.items()):
        path = present[name]
        there = content(path, File(name, path.stat().st_size, expected, None))
        if not there.right:
            raise Refused(f"{source}: {shown(name)}: expected {there.expected}, got {there.found}")
        progress.add(there.size, moved=True)
        held.append(there.held())
    return Verified(held, hashlib.sha256(text).hexdigest())


def _is_copying(name: str, path: Path, source: str) -> bool:
    """Whether it is rclone's, in a bucket's copy; an old one is removed."""
    if source.startswith("pvc://") or COPYING.fullmatch(name) is None:
        return False
    if time.time() - path.stat().st_mtime > COPYING_SECONDS:
        path.unlink()
    return True


def entries(folder: Path, source: str, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Every file in a folder and in the folders inside it, hidden ones too, with the path of its content.

    A link counts as the file inside the folder that it leads to. Raises Refused for links that lead elsewhere
    or to a folder, and for what is neither file nor folder.
    """
    try:
        with os.scandir(folder / prefix) as found:
            listed = sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        if prefix == FILE_SYSTEMS_OWN:
            return
        raise Refused(f"{source}: {shown(prefix or folder)} cannot be read: chmod a+rx") from None
    for entry in listed:
        name, path = f"{prefix}{entry.name}", Path(entry.path)
        if entry.is_symlink():
            yield name, _target(folder, path, f"{source}: {shown(name)}")
        elif entry.is_dir(follow_symlinks=False):
            yield from entries(folder, source, f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name, path
        else:
            raise Refused(f"{source}: {shown(name)} is neither a file nor a folder: remove it")


def _target(folder: Path, link: Path, what: str) -> Path:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise Refused(f"{what} is a link that leads to nothing: remove it") from None
    if not target.is_relative_to(folder.resolve()):
        raise Refused(f"{what} is a link that leaves the folder: put the file itself there")
    if target.is_dir():
        raise Refused(f"{what} is a link to a folder: put the folder itself there")
    return target


def _checksums_file(folder: Path, source: str) -> bytes:
    path = folder / CHECKSUMS
    if not path.is_file() or path.is_symlink():
        raise Refused(
            f"{source}: no {CHECKSUMS} in it: make one with `sha256sum` in the folder (docs/weights.md)"
        )
    if path.stat().st_size > MAX_CHECKSUMS_BYTES:
        raise Refused(f"{source}: {CHECKSUMS} has more than {MAX_CHECKSUMS_BYTES // 1024**2} MiB")
    return path.read_bytes()


def checksums(content: bytes, source: str) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of each line that sha256sum wrote. Raises Refused."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"{source}: line {number} of {CHECKSUMS} is not UTF-8") from None
    known: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.removesuffix("\r"))
        if found is None or not possible(found[2]):
            raise Refused(f"{source}: line {number} of {CHECKSUMS} is not one of sha256sum")
        if known.setdefault(found[2], found[1]) != found[1]:
            raise Refused(f"{source}: line {number} of {CHECKSUMS} gives {shown(found[2])} a second checksum")
        if found[2] != CHECKSUMS:
            yield found[2], found[1]
