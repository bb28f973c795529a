"""One stager at a time in a folder, and no second writer of a file that a stager left behind.

Both are locks of the kind flock: the kernel lets go of them when their process ends, however it ends, so that
nothing has to be cleaned up. On NFS (EFS, Filestore) Linux passes them on to the server, since 2.6.12; a node
that is lost keeps its locks until the server's lease runs out (90 s by default), and from then on its writes
to a file that it had locked fail. Lustre has them with the mount option flock. A Lease of Kubernetes would
need a token for the API server, which the Job does not have, and would not end a process that still writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from .files import PARTIAL, PROGRESS_SECONDS, File, Interrupted, Refused, is_file, say

LOCK = "lock"
"""In PARTIAL, always empty and never removed: who removes a lock file may remove one that another holds."""

LOOK_SECONDS = 0.2

_CHOOSING = threading.Lock()

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@contextmanager
def alone(folders: Sequence[Path], patience_seconds: float) -> Iterator[None]:
    """Makes the folders and holds them, in the order of their names, until the end.

    Waits for another stager. Raises Interrupted when it has not ended in time, Refused where the file system
    has no locks.
    """
    with ExitStack() as held:
        until = time.monotonic() + patience_seconds
        for folder in sorted({folder.absolute() for folder in folders}):
            workplace = _workplace(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(workplace / LOCK, flags, 0o644)
            held.callback(os.close, descriptor)
            _wait(descriptor, folder, until)
        yield


def _workplace(folder: Path) -> Path:
    """The folder for parts of downloads. What lies under its name and is not a folder goes."""
    if folder.is_symlink():
        raise Refused(f"{folder} is a link: weights are staged into a folder of the volume itself")
    workplace = folder / PARTIAL
    if workplace.is_symlink() or (workplace.exists() and not workplace.is_dir()):
        workplace.unlink()
    workplace.mkdir(parents=True, exist_ok=True)
    return workplace


def _wait(descriptor: int, folder: Path, until: float) -> None:
    began = said = time.monotonic()
    while not _locked(descriptor, folder):
        now = time.monotonic()
        if now >= until:
            raise Interrupted(
                f"{folder}: another stager is still at work after {now - began:.0f} s: let it end, or delete "
                "the Job that is not needed any more (kubectl -n inference get jobs)"
            )
        if now - said >= PROGRESS_SECONDS or said == began:
            say(f"{folder}: another stager is at work; waiting for its end")
            said = now
        time.sleep(min(LOOK_SECONDS, until - now))


def _locked(descriptor: int, path: Path) -> bool:
    """Takes the lock of an open file; False if another has it. Raises Refused where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno in _WITHOUT_LOCKS:
            raise Refused(
                f"{path}: its file system has no file locks ({error.strerror}), without which two Jobs could "
                "write one file: mount NFS without nolock, Lustre with flock, or use pvc:// (docs/weights.md)"
            ) from None
        raise
    return True


@contextmanager
def part(folder: Path, file: File) -> Iterator[tuple[Path, IO[bytes]]]:
    """A part of a file, locked for this process alone, under a name that only this process uses.

    The largest one of the same content that an ended process left is continued; one whose writer lives, here
    or on another machine, is not touched.
    """
    mine = folder / PARTIAL / f"{file.identity[:16]}-{uuid.uuid4().hex}"
    # Between making and locking it another thread would take a new part for a left one.
    with _CHOOSING:
        descriptor = _continued(mine)
        if descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(mine, flags, 0o644)
            _locked(descriptor, mine)
    with os.fdopen(descriptor, "ab+") as stream:
        yield mine, stream


def _continued(mine: Path) -> int | None:
    """Gives the largest part of the same content that has no writer the name `mine`, and opens it."""
    identity = mine.name.partition("-")[0]
    for candidate in sorted(mine.parent.glob(f"{identity}-*"), key=_size, reverse=True):
        descriptor = _taken(candidate)
        if descriptor is not None:
            candidate.rename(mine)
            return descriptor
    return None


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _taken(path: Path) -> int | None:
    """The file, open and locked, if it is one that has no writer any more."""
    try:
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except OSError:
        return None
    status = os.fstat(descriptor)
    # Between opening and locking another thread may have taken, finished and renamed it.
    if stat.S_ISREG(status.st_mode) and _locked(descriptor, path) and _inode(path) == status.st_ino:
        return descriptor
    os.close(descriptor)
    return None


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def sweep(folder: Path, identities: set[str]) -> None:
    """Removes what ended stagers left of files that are not wanted any more."""
    wanted = {identity[:16] for identity in identities}
    for path in (folder / PARTIAL).iterdir():
        if path.name == LOCK or path.name.split("-", 1)[0] in wanted:
            continue
        if not is_file(path):
            remove(path)
        elif (descriptor := _taken(path)) is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def remove(path: Path) -> None:
    """Removes whatever has this name, and never what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
