"""What the hub says of a revision, read with distrust: it decides what is downloaded, and as what. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from .files import GIB, File, possible, shown

MAX_LISTING_BYTES = 64 * 1024 * 1024
"""Of the answer: some 300,000 files. The hub recommends fewer than 100,000 in a repository."""

MAX_FILE_BYTES = 1024 * GIB
"""Twice what the hub takes as one file, 500 GB."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


class NotAListing(ValueError):
    """An answer that is not a listing of files; the message is one line."""


def listed(text: bytes) -> tuple[str, list[File]]:
    """Revision and files of an answer of /api/models/.../revision/...?blobs=true. Raises NotAListing."""
    if len(text) > MAX_LISTING_BYTES:
        raise NotAListing(f"its listing has more than {MAX_LISTING_BYTES // 1024**2} MiB")
    try:
        answer: Any = json.loads(text)
    except RecursionError:
        raise NotAListing("its listing is nested too deeply") from None
    except ValueError:
        raise NotAListing("its listing is not JSON") from None
    if not isinstance(answer, dict):
        raise NotAListing("its listing is not an object")
    found, siblings = answer.get("sha"), answer.get("siblings")
    if not isinstance(found, str) or not isinstance(siblings, list):
        raise NotAListing('its listing must have "sha", a text, and "siblings", a list')
    files: dict[str, File] = {}
    for number, entry in enumerate(siblings):
        file = _file(f"siblings[{number}]", entry)
        if file.path in files:
            raise NotAListing(f"siblings[{number}]: {file.path} is listed twice")
        files[file.path] = file
    return found, list(files.values())


def _file(where: str, entry: Any) -> File:
    if not isinstance(entry, dict):
        raise NotAListing(f"{where} must be an object")
    path = entry.get("rfilename")
    if not isinstance(path, str) or not possible(path):
        raise NotAListing(
            f'{where}: rfilename {_value(path)} must be a path inside the repository, without "..", '
            "control characters, and parts of more than 255 bytes"
        )
    stored = entry.get("lfs")
    if stored is None:
        return File(path, _size(where, path, entry), None, _digest(where, path, "blobId", _SHA1, entry))
    if not isinstance(stored, dict):
        raise NotAListing(f"{where}: lfs of {path} must be an object")
    return File(path, _size(where, path, stored), _digest(where, path, "sha256", _SHA256, stored), None)


def _size(where: str, path: str, entry: dict[str, Any]) -> int:
    size = entry.get("size")
    if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
        raise NotAListing(
            f"{where}: size {_value(size)} of {path} must be a whole number from 0 to {MAX_FILE_BYTES}"
        )
    return size


def _digest(where: str, path: str, name: str, form: re.Pattern[str], entry: dict[str, Any]) -> str:
    digest = entry.get(name)
    if not isinstance(digest, str) or form.fullmatch(digest) is None:
        raise NotAListing(f"{where}: {name} {_value(digest)} of {path} must be a checksum in hexadecimal")
    return digest


def _value(value: Any) -> str:
    if value is None or isinstance(value, str | int | float):
        return shown(repr(value))
    return "that is a list or an object"
