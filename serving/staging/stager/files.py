"""Files of a set of weights: what they must be, what they are, and how far a transfer is."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from typing import IO

CHECKSUMS = "SHA256SUMS"
MANIFEST = "weights.json"
PARTIAL = ".partial"
GIB = 1024**3
CHUNK_BYTES = 4 * 1024 * 1024
PROGRESS_SECONDS = 10

PICKLE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".msgpack", ".h5")
"""Formats that run code while they are loaded, or may."""

TEXT = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""Configuration, tokenizers, chat templates. No .py: code comes with the image or not at all."""

WEIGHTS = ".safetensors"


class Refused(Exception):
    """These weights must not or cannot be served; the message is one line that says why."""


class Interrupted(Exception):
    """The network or the hub failed; another run goes on where this one stopped."""


@dataclass(frozen=True)
class File:
    """A file of a repository. sha256 for what is stored outside git, else git's own SHA-1 of a blob."""

    path: str
    size: int
    sha256: str | None
    blob: str | None

    @property
    def identity(self) -> str:
        """The checksum that it must have."""
        return str(self.blob if self.sha256 is None else self.sha256)


@dataclass(frozen=True)
class Held:
    """A file on the volume whose checksum is right."""

    path: str
    size: int
    sha256: str


class Checksum:
    """The checksum that a file must have, taken while it is written."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.restart()

    def restart(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._blob = hashlib.sha1(b"blob %d\0" % self._file.size, usedforsecurity=False)

    def update(self, block: bytes) -> None:
        self.size += len(block)
        self._sha256.update(block)
        if self._file.sha256 is None:
            self._blob.update(block)

    def read(self, stream: IO[bytes]) -> None:
        while block := stream.read(CHUNK_BYTES):
            self.update(block)

    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def found(self) -> str:
        if self.size != self._file.size:
            return f"{self.size} bytes"
        return self.sha256() if self._file.sha256 is not None else self._blob.hexdigest()

    def expected(self) -> str:
        if self.size != self._file.size:
            return f"{self._file.size} bytes"
        return self._file.identity

    def right(self) -> bool:
        return self.found() == self.expected()


class Progress:
    """Says how far a transfer is, every few seconds. Several threads report to it."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = self._moved = self._said_moved = 0
        self._said = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int, moved: bool) -> None:
        """Count bytes that are right; moved ones make up the rate."""
        with self._lock:
            self._done += count
            self._moved += count if moved else 0
            now = time.monotonic()
            if now - self._said >= PROGRESS_SECONDS:
                rate = (self._moved - self._said_moved) / GIB / (now - self._said)
                say(f"{self._what}: {self._done / GIB:.2f} of {self._total / GIB:.2f} GiB, {rate:.3f} GiB/s")
                self._said, self._said_moved = now, self._moved


def safe(path: str) -> bool:
    """Whether a path from outside stays within the folder and away from our own files."""
    parts = path.split("/")
    return not path.startswith("/") and not set(parts) & {"", ".", "..", PARTIAL, MANIFEST}


def size_text(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / GIB:.2f} GiB" if count >= GIB / 100 else f"{count / 1024**2:.2f} MiB"


def say(line: str) -> None:
    print(line, flush=True)
