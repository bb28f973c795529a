"""Puts the weights of a model onto a volume once, and proves that they are what was asked for.

Runs in a Job before the engines start. Standard library only, so that any Python image runs it. A second run
checks every file and downloads none that is right. Prints its progress; on failure the last line says what is
wrong. Exits with 1 where trying again cannot help, and with 2 where it may.

STAGE_ITEMS     list of {"folder", "id", "revision", "source"}, one for the model and one for each adapter.
                source "hub" is downloaded; another names where the files came from, is expected to be there
                and is checked against its SHA256SUMS. To pvc:// nothing is written: it is somebody else's.
HUB_ENDPOINT    address of the Hugging Face hub or of a mirror with its API
HUB_TOKEN_FILE  file with a token for gated models; it may be missing
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .download import from_hub
from .files import CHECKSUMS, GIB, MANIFEST, Held, Interrupted, Refused, say, size_text
from .folder import verified
from .hub import Repository


def main() -> int:
    items: list[dict[str, str]] = json.loads(os.environ["STAGE_ITEMS"])
    try:
        for item in items:
            stage(Path(item["folder"]), item)
    except Refused as refusal:
        print(f"weights: {refusal}", file=sys.stderr, flush=True)
        return 1
    except Interrupted as interruption:
        print(f"weights: {interruption}; what is there is kept", file=sys.stderr, flush=True)
        return 2
    except OSError as error:
        print(f"weights: {error.filename}: {error.strerror or error}", file=sys.stderr, flush=True)
        return 2
    return 0


def stage(folder: Path, item: dict[str, str]) -> None:
    """Brings one folder to what `item` says and writes its manifest. Raises Refused or Interrupted."""
    began = time.monotonic()
    if item["source"] == "hub":
        hub = Repository(os.environ["HUB_ENDPOINT"], item["id"], item["revision"], read_token())
        held, moved = from_hub(folder, hub)
    else:
        held, moved = verified(folder, item["source"]), 0
        # The checksums themselves are the revision.
        item = {**item, "revision": hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()}
    if not item["source"].startswith("pvc://"):
        write_manifest(folder, item, held)
    total = sum(file.size for file in held)
    seconds = time.monotonic() - began
    say(
        f"{item['id']} {item['revision'][:8]}: {len(held)} files, {size_text(total)} verified, "
        f"{size_text(moved)} downloaded, {seconds:.1f} s, {total / GIB / max(seconds, 1e-3):.2f} GiB/s"
    )


def write_manifest(folder: Path, item: dict[str, str], held: Sequence[Held]) -> None:
    """Says what the folder holds; written last and in one step, so that where it is, everything is."""
    manifest = {
        "id": item["id"],
        "revision": item["revision"],
        "source": item["source"],
        "files": [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in held],
    }
    text = json.dumps(manifest, indent=1) + "\n"
    path = folder / MANIFEST
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    fresh = folder / f"{MANIFEST}.new"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def read_token() -> str | None:
    """The hub token, if there is one."""
    path = os.environ.get("HUB_TOKEN_FILE")
    if path is None or not Path(path).is_file():
        return None
    return Path(path).read_text(encoding="utf-8").strip() or None


if __name__ == "__main__":
    sys.exit(main())
