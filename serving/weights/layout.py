"""Where a replica finds its weights: the same paths whatever they come from."""

from __future__ import annotations

import hashlib
import re

from sizing.labels import MODEL_PATH

MOUNT = "/weights"

MODEL_FOLDER = MODEL_PATH.removeprefix(f"{MOUNT}/")
ADAPTERS_FOLDER = "adapters"
"""Folders of the volume: the model's own files, and a folder for each adapter with one for each revision."""

ADAPTERS_PATH = f"{MOUNT}/{ADAPTERS_FOLDER}"

MANIFEST = "weights.json"
"""In each folder that was staged: id, revision, and every file with size and SHA-256. Written last and in one
step: where it is, everything is."""

STAGING = ".partial"
"""In each folder that a Job has begun to stage: parts of downloads, and the lock of who works on it."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def adapter_folder(name: str) -> str:
    """Path of an adapter's revisions in the engine's container.

    A name may hold characters that mean something in a path; it then gets a hash, so that no two names meet.
    """
    if _PLAIN.fullmatch(name):
        return f"{ADAPTERS_PATH}/{name}"
    readable = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    return f"{ADAPTERS_PATH}/{readable}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def adapter_path(name: str, source: str, revision: str) -> str:
    """Path of one revision of an adapter.

    A folder of its own: a replica of the revision before may start while this one is staged.
    """
    return f"{adapter_folder(name)}/{hashlib.sha256(f'{source}@{revision}'.encode()).hexdigest()[:12]}"
