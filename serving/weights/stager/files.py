"""Files of a set of weights: what they must be, what they are on the volume, and how far a transfer is."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path

CHECKSUMS = "SHA256SUMS"
MANIFEST = "weights.json"
PARTIAL = ".partial"
GIB = 1024**3
CHUNK_BYTES = 4 * 1024 * 1024
PROGRESS_SECONDS = 10

PICKLE = (
    ".bin", ".pt", ".pth", ".pt2", ".ckpt", ".pkl", ".pickle", ".dill", ".cloudpickle", ".joblib", ".msgpack",
    ".h5", ".hdf5", ".keras", ".npy", ".npz", ".nemo", ".mar", ".torch", ".t7",
)  # fmt: skip
"""Formats that run code while they are loaded, or may: PyTorch's, Python's own, Keras', NumPy's with objects,
archives that hold one of them. In any case of letters, and under a packer's ending."""

_PACKED = re.compile(r"(\.(gz|z|bz2|xz|lzma|zst|lz4|zip|tar|tgz|bak|old|orig|tmp|part|new|\d+))+$")

TEXT = (".json", ".txt", ".model", ".jinja", ".tiktoken")
"""Configuration, tokenizers, chat templates. No .py: code comes with the image or not at all."""

WEIGHTS = ".safetensors"

MAX_NAME_BYTES = 255
"""Of one part of a path on Linux."""

_NO_NAME = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories that a name must not have: control characters, lone surrogates, ends of lines."""

MAX_SHOWN = 200
"""Characters of a text from outside that a message repeats."""


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
class State:
    """By which a file that was written to after it was read can be told: its inode, size and time."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @staticmethod
    def of(status: os.stat_result) -> State:
        return State(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Held:
    """A file on the volume whose checksum is right. state: of the file that was read for it."""

    path: str
    size: int
    sha256: str
    state: State


@dataclass(frozen=True)
class Content:
    """What is on the volume in place of a file, read from its first byte to its last."""

    file: File
    size: int
    sha256: str
    blob: str
    state: State

    @property
    def found(self) -> str:
        if self.size != self.file.size:
            return f"{self.size} bytes"
        return self.sha256 if self.file.sha256 is not None else self.blob

    @property
    def expected(self) -> str:
        return f"{self.file.size} bytes" if self.size != self.file.size else self.file.identity

    @property
    def right(self) -> bool:
        return self.found == self.expected

    def held(self) -> Held:
        return Held(self.file.path, self.size, self.sha256, self.state)


def content(path: Path, file: File) -> Content:
    """Reads what is at rest at a path; what is written to it afterwards shows as another state.

    Never waits for a pipe and never follows a link. Raises OSError; Refused for what is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(f"{shown(path)} is not a regular file")
        if hasattr(os, "posix_fadvise"):
            # What this machine still has in memory may not be what the volume got.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        sha256, size = hashlib.sha256(), 0
        blob = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        while block := stream.read(CHUNK_BYTES):
            size += len(block)
            sha256.update(block)
            if file.sha256 is None:
                blob.update(block)
    return Content(file, size, sha256.hexdigest(), blob.hexdigest(), State.of(status))


def is_file(path: Path) -> bool:
    """Whether there is a regular file, and not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def is_pickle(path: str) -> bool:
    """Whether a name is one of PICKLE's, whatever the case of its letters and however it is packed."""
    return _PACKED.sub("", path.lower()).endswith(PICKLE)


class Progress:
    """Says how far a transfer is, every few seconds. Several threads report to it."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = self._moved = self._said_moved = 0
        self._said = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int, moved: bool) -> None:
        """Count bytes that are there; moved ones make up the rate."""
        with self._lock:
            self._done += count
            self._moved += count if moved else 0
            now = time.monotonic()
            if now - self._said >= PROGRESS_SECONDS:
                rate = (self._moved - self._said_moved) / GIB / (now - self._said)
                say(f"{self._what}: {self._done / GIB:.2f} of {self._total / GIB:.2f} GiB, {rate:.3f} GiB/s")
                self._said, self._said_moved = now, self._moved


def possible(path: str) -> bool:
    """Whether a path can name a file inside a folder: relative, without "..", and writable as a name."""
    return all(_possible_part(part) for part in path.split("/"))


def _possible_part(part: str) -> bool:
    if part in ("", ".", "..") or any(unicodedata.category(letter) in _NO_NAME for letter in part):
        return False
    return len(part.encode()) <= MAX_NAME_BYTES


def safe(path: str) -> bool:
    """Whether a path from outside stays within the folder and away from our own files."""
    return possible(path) and not set(path.split("/")) & {PARTIAL, MANIFEST}


def shown(text: object) -> str:
    """A text from outside on one line, cut to MAX_SHOWN characters."""
    whole = str(text)
    return one_line(whole if len(whole) <= MAX_SHOWN else whole[:MAX_SHOWN] + "...")


def one_line(text: str) -> str:
    """A text with all that is not printable escaped: ends of lines, control characters, lone surrogates."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def size_text(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / GIB:.2f} GiB" if count >= GIB / 100 else f"{count / 1024**2:.2f} MiB"


def say(line: str) -> None:
    print(one_line(line), flush=True)
