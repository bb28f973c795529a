"""Puts the weights of a model onto a volume once, and proves that they are what was asked for.

Runs in a Job before the engines start. Standard library only, so that any Python image runs it. A second run
checks every file and downloads none that is right. Prints its progress; on failure the last line says what is
wrong. Exits with 1 where trying again cannot help, and with 2 where it may. One stager at a time works on a
folder; another waits.

STAGE_ITEMS     list of {"folder", "id", "revision", "source"}, one for the model and one for each adapter,
                which has "revisions", too: the folder with one folder for each of its revisions.
                source "hub" is downloaded; another names where the files came from, is expected to be there
                and is checked against its SHA256SUMS. To pvc:// nothing is written: it is somebody else's.
STAGE_PATIENCE_SECONDS
                how long to wait for another stager; without it, DEFAULT_PATIENCE_SECONDS
HUB_ENDPOINT    address of the Hugging Face hub or of a mirror with its API
HUB_TOKEN_FILE  file with a token for gated models; it may be missing
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from .download import from_hub, withdraw
from .exclusive import alone
from .files import (
    GIB,
    MANIFEST,
    PARTIAL,
    Held,
    Interrupted,
    Refused,
    State,
    one_line,
    say,
    size_text,
)
from .folder import verified
from .hub import Repository
from .superseded import remove_superseded

HUB = "hub"
SOMEBODY_ELSES = "pvc://"

DEFAULT_PATIENCE_SECONDS = 600.0

FINAL, AGAIN = 1, 2
"""Exit statuses: another run cannot help, another run may."""

PERMANENT = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
    errno.ELOOP, errno.EINVAL, errno.EILSEQ, errno.EFBIG,
)  # fmt: skip
"""What a volume answers that it will answer again. A full one may have been enlarged by the next run."""


def main() -> int:
    signal.signal(signal.SIGTERM, _ended)
    items: list[dict[str, str]] = json.loads(os.environ["STAGE_ITEMS"])
    patience = float(os.environ.get("STAGE_PATIENCE_SECONDS", DEFAULT_PATIENCE_SECONDS))
    ours = [Path(item["folder"]) for item in items if not item["source"].startswith(SOMEBODY_ELSES)]
    try:
        with alone(ours, patience):
            for item in items:
                stage(Path(item["folder"]), item)
            for item in items:
                if "revisions" in item:
                    remove_superseded(Path(item["revisions"]), Path(item["folder"]))
    except Refused as refusal:
        return _failed(f"{refusal}", FINAL)
    except Interrupted as interruption:
        return _failed(f"{interruption}; what is there is kept", AGAIN)
    except OSError as error:
        where = ", ".join(item["folder"] for item in items) if error.filename is None else error.filename
        return _failed(f"{where}: {error.strerror or error}", FINAL if error.errno in PERMANENT else AGAIN)
    return 0


def _failed(why: str, status: int) -> int:
    print(one_line(f"weights: {why}"), file=sys.stderr, flush=True)
    return status


def _ended(number: int, frame: FrameType | None) -> None:
    """As the first process of its container this one would not end of SIGTERM by itself."""
    os.write(sys.stderr.fileno(), b"weights: ended by a signal; what is there is kept\n")
    os._exit(AGAIN)


def stage(folder: Path, item: dict[str, str]) -> None:
    """Brings one folder to what `item` says and writes its manifest. Raises Refused or Interrupted."""
    began = time.monotonic()
    held: Sequence[Held]
    if item["source"] == HUB:
        hub = Repository(os.environ["HUB_ENDPOINT"], item["id"], item["revision"], read_token())
        held, moved = from_hub(folder, hub)
    else:
        ours, moved = not item["source"].startswith(SOMEBODY_ELSES), 0
        try:
            found = verified(folder, item["source"])
        except Refused:
            if ours:
                withdraw(folder)
            raise
        held = found.held
        # The checksums themselves are the revision.
        item = {**item, "revision": found.checksums_sha256}
    _unchanged(folder, held)
    if not item["source"].startswith(SOMEBODY_ELSES):
        write_manifest(folder, item, held)
    total = sum(file.size for file in held)
    seconds = time.monotonic() - began
    say(
        f"{item['id']} {item['revision'][:8]}: {len(held)} files, {size_text(total)} verified, "
        f"{size_text(moved)} downloaded, {seconds:.1f} s, {total / GIB / max(seconds, 1e-3):.2f} GiB/s"
    )


def _unchanged(folder: Path, held: Sequence[Held]) -> None:
    """Makes sure that every file is still the one that was read. Raises Interrupted."""
    for file in held:
        try:
            same = State.of((folder / file.path).stat()) == file.state
        except FileNotFoundError:
            same = False
        if not same:
            raise Interrupted(
                f"{folder}: {file.path} was changed after it was verified: something else writes to it"
            )


def write_manifest(folder: Path, item: dict[str, str], held: Sequence[Held]) -> None:
    """Says what the folder holds; written last and in one step, so that where it is, everything is."""
    manifest = {
        "id": item["id"],
        "revision": item["revision"],
        "source": item["source"],
        "files": [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in held],
    }
    text = (json.dumps(manifest, indent=1) + "\n").encode()
    path = folder / MANIFEST
    if path.is_file() and not path.is_symlink() and path.read_bytes() == text:
        return
    workplace = folder / PARTIAL
    workplace.mkdir(exist_ok=True)
    fresh = workplace / f"{MANIFEST}-{uuid.uuid4().hex}"
    with fresh.open("wb") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)


def read_token() -> str | None:
    """The hub token, if there is one. Raises Refused for a file that holds none."""
    path = os.environ.get("HUB_TOKEN_FILE")
    if path is None or not Path(path).is_file():
        return None
    token = Path(path).read_bytes().strip()
    if not token:
        return None
    if not token.isascii() or not token.decode().isprintable() or b" " in token:
        raise Refused(
            f"{path} must hold one token of the hub and nothing else; renew the key token of the Secret "
            "hub-token (docs/weights.md)"
        )
    return token.decode()


if __name__ == "__main__":
    sys.exit(main())
