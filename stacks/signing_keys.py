"""The keys that sign a stack's tokens: public halves in the file that the stack file names, private ones with
those who may sign, and nowhere else.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.gateway.jwks import MAX_KEYS, JwksError, PublicKey, read_jwks, write_jwks
from serving.gateway.tokens import SigningKey, TokenError, new_key, read_signing_key
from sizing.choices import valid_choices
from stacks.config import Stack

ROOT = Path(__file__).resolve().parent.parent

FOLDER_VARIABLE = "LLM_PLATFORM_SIGNING_KEYS"
"""Environment variable with the folder of private keys, such as one that a vault fills."""

ANYTHING_FOR_OTHERS, WRITABLE_BY_OTHERS = 0o077, 0o022
"""Permission bits of a folder: with the first no key is made in it, with the second none in it signs. A vault
or a CI system may fill a folder that others can list; each key file in it must be closed to them."""


class KeyFileError(ValueError):
    """Keys that cannot be read or changed; one line says which file, why, and what to do."""


@dataclass(frozen=True)
class KeyFiles:
    """Where the keys of one stack are.

    stack: its name. jwks: the file with public keys. folder: holds `<kid>.pem` for each private half that is
    at hand.
    """

    stack: str
    jwks: Path
    folder: Path

    def text(self) -> str:
        """The document that the gateway gets. Raises KeyFileError if it must not get it."""
        return write_jwks(self.public_keys())

    def public_keys(self) -> tuple[PublicKey, ...]:
        """All keys that the gateway accepts, oldest first. Raises KeyFileError."""
        try:
            return read_jwks(self.jwks.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise KeyFileError(
                f"{_shown(self.jwks)} does not exist, so nobody could ask for anything: "
                f"`make {_making(self.stack)}` makes a key"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"{_shown(self.jwks)} cannot be read: {error}") from None
        except JwksError as error:
            raise KeyFileError(
                f"{_shown(self.jwks)}: {error} (`make key STACK={self.stack}` makes a new key)"
            ) from None

    def private_file(self, kid: str) -> Path:
        """Where the private half of the key with this name is, if it is at hand."""
        return self.folder / f"{kid}.pem"

    def signing_key(self) -> SigningKey | None:
        """The newest key whose private half is at hand; None if none is. Raises KeyFileError."""
        for public in reversed(self.public_keys()):
            path = self.private_file(public.kid)
            if path.exists():
                _closed_to_others(self.folder, WRITABLE_BY_OTHERS)
                return _read_private(path, public)
        return None

    def create(self) -> SigningKey:
        """A new key: its private half becomes a file for its owner only, its public half joins the JWKS.

        Another process that makes or retires a key waits. Raises KeyFileError, with nothing written, if there
        are two keys already.
        """
        with self._alone():
            return self._create()

    def ensure(self) -> None:
        """Makes a key unless there is one that can sign. Raises KeyFileError."""
        with self._alone():
            if not self.jwks.exists() or self.signing_key() is None:
                self._create()

    def _create(self) -> SigningKey:
        known = self.public_keys() if self.jwks.exists() else ()
        if len(known) == MAX_KEYS:
            raise KeyFileError(
                f"{_shown(self.jwks)} has {MAX_KEYS} keys already; the older one is {known[0].kid}. Once no "
                f"token is signed with it any more: make key STACK={self.stack} RETIRE={known[0].kid}"
            )
        key = new_key()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _closed_to_others(self.folder, ANYTHING_FOR_OTHERS)
            private = self.private_file(key.kid)
            # The private half first: a public one without it would be a key that nobody has.
            descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.pem())
            try:
                self._write((*known, key.public))
            except OSError:
                private.unlink()
                raise
        except OSError as error:
            raise KeyFileError(f"the key cannot be written: {error}") from None
        return key

    def retire(self, kid: str) -> PublicKey:
        """Takes a key out of the JWKS and returns it. Its private half is left to its owner.

        Raises KeyFileError, with nothing written, if there is no such key or no other.
        """
        self.public_keys()
        with self._alone():
            known = self.public_keys()
            retired = [key for key in known if key.kid == kid]
            kept = [key for key in known if key.kid != kid]
            if not retired:
                choices = valid_choices(kid, [key.kid for key in known])
                raise KeyFileError(f"{_shown(self.jwks)} has no key {kid!r}: {choices}")
            if not kept:
                raise KeyFileError(
                    f"{kid} is the only key in {_shown(self.jwks)}: without it every request is refused. "
                    f"Make the next one first: make key STACK={self.stack}"
                )
            try:
                self._write(kept)
            except OSError as error:
                raise KeyFileError(f"{_shown(self.jwks)} cannot be written: {error}") from None
            return retired[0]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the keys: what is read inside is still so when it is replaced. Raises KeyFileError."""
        parent = self.jwks.parent
        try:
            parent.mkdir(mode=0o700 if parent == self.folder else 0o777, parents=True, exist_ok=True)
            descriptor = _locked(parent, self.jwks.name)
        except OSError as error:
            raise KeyFileError(f"{_shown(parent)} cannot be locked: {error}") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def _write(self, keys: tuple[PublicKey, ...] | list[PublicKey]) -> None:
        """Replaces the JWKS as a whole: an update that reads it meanwhile sees the old or the new one."""
        descriptor, name = tempfile.mkstemp(prefix=f".{self.jwks.name}-", dir=self.jwks.parent)
        waiting = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(write_jwks(keys))
                file.flush()
                os.fsync(file.fileno())
            waiting.chmod(0o644)
            waiting.replace(self.jwks)
        except OSError:
            waiting.unlink(missing_ok=True)
            raise


def _locked(folder: Path, name: str) -> int:
    """A lock that ends with its process, on the folder itself, so that no file is left in a checkout.

    NFS locks only what is open for writing (EBADF, Linux 6): there it is a file beside the JWKS, which git
    ignores.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        os.close(descriptor)
        if error.errno != errno.EBADF:
            raise
        descriptor = os.open(folder / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _closed_to_others(folder: Path, bits: int) -> None:
    """Raises KeyFileError if one of these permission bits is set."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & bits:
        raise KeyFileError(
            f"{_shown(folder)} is open to others (mode {mode:04o}), who could put keys of their own there or "
            f"see which there are: chmod 700 {folder}"
        )


def key_files(name: str, stack: Stack, environment: Mapping[str, str] = os.environ) -> KeyFiles:
    """Where the keys of the stack called `name` are."""
    jwks = ROOT / stack.gateway.tokens.public_keys
    if stack.cluster.on_this_machine:
        # They open nothing but this machine's cluster, and go with it.
        return KeyFiles(name, jwks, jwks.parent)
    folder = environment.get(FOLDER_VARIABLE)
    if folder is not None:
        return KeyFiles(name, jwks, Path(folder).expanduser())
    return KeyFiles(name, jwks, Path.home() / ".config" / "llm-platform" / name)


def _making(stack: str) -> str:
    return "up" if stack == "local" else f"key STACK={stack}"


def _read_private(path: Path, public: PublicKey) -> SigningKey:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyFileError(
                f"{_shown(path)} can be read by others: if nobody has, `chmod 600 {path}`; otherwise the key "
                "has leaked, and docs/tokens.md says what to do"
            )
        key = read_signing_key(path.read_bytes())
    except (OSError, TokenError) as error:
        raise KeyFileError(f"{_shown(path)}: {error}") from None
    if (key.public.x, key.public.y) != (public.x, public.y):
        raise KeyFileError(
            f"{_shown(path)} is not the private half of the key that it is named after: put the right file "
            "there, or take it away"
        )
    # A key that was not made here may have a name of its own.
    return SigningKey(key.private, name=public.kid)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
