"""Weights that somebody else put into a folder, checked against the checksums beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .files import CHECKSUMS, PICKLE, TEXT, WEIGHTS, Checksum, File, Held, Progress, Refused, safe


def verified(folder: Path, source: str) -> list[Held]:
    """The files of a folder that somebody else filled, each checked against SHA256SUMS. Raises Refused."""
    sums = folder / CHECKSUMS
    if not sums.is_file():
        raise Refused(
            f"{source}: no {CHECKSUMS} in it: make one with `sha256sum *` in the folder (docs/weights.md)"
        )
    wanted = dict(checksums(sums.read_text(encoding="utf-8"), source))
    present = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    for name in sorted({*wanted, *present}):
        if name.endswith(PICKLE):
            raise Refused(
                f"{source}: {name} is refused (SUP-003): a pickle runs code while it is loaded; only "
                "safetensors are served"
            )
        if name in present and name not in wanted and name.endswith((WEIGHTS, *TEXT)) and safe(name):
            raise Refused(f"{source}: {name} is not in {CHECKSUMS}, so nobody vouches for it")
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise Refused(f"{source}: {missing[0]} is in {CHECKSUMS} and not in the folder")
    if not any(name.endswith(WEIGHTS) for name in wanted):
        raise Refused(f"{source}: no .safetensors file in {CHECKSUMS}, so there is nothing to serve")
    progress = Progress(source, sum(present[name].stat().st_size for name in wanted))
    held: list[Held] = []
    for name, expected in sorted(wanted.items()):
        size = present[name].stat().st_size
        checksum = Checksum(File(name, size, expected, None))
        with present[name].open("rb") as stream:
            checksum.read(stream)
        if not checksum.right():
            raise Refused(f"{source}: {name}: expected {expected}, got {checksum.found()}")
        progress.add(size, moved=True)
        held.append(Held(name, size, expected))
    return held


def checksums(text: str, source: str) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of each line that sha256sum wrote. Raises Refused."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line)
        if found is None or not safe(found[2]):
            raise Refused(f"{source}: line {number} of {CHECKSUMS} is not one of sha256sum")
        if found[2] != CHECKSUMS:
            yield found[2], found[1]
