"""Which files of a repository an engine needs. Pure but for reading an index."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from .files import TEXT, WEIGHTS, File, Refused, is_pickle, safe, shown, size_text

INDEX = "model.safetensors.index.json"

MAX_INDEX_BYTES = 64 * 1024 * 1024
"""An index takes some 100 bytes for each tensor; the largest models have 100,000 tensors."""

MODULE = re.compile(r"\d+_[A-Za-z]+/[^/]+")
"""Folders of a sentence-transformers model, such as 1_Pooling; other folders hold the same weights again."""


def choose(listed: Sequence[File], parts: set[str] | None, repository: str) -> list[File]:
    """What an engine needs of a repository: weights as safetensors, configuration, tokenizer.

    parts: weights that the repository's index names; without an index, those at its root. Raises Refused.
    """
    chosen = [file for file in listed if _needed(file.path, parts)]
    weights = [file for file in chosen if file.path.endswith(WEIGHTS)]
    missing = sorted((parts or set()) - {file.path for file in weights})
    if missing:
        raise Refused(f"{repository}: {INDEX} names {shown(missing[0])}, which the repository does not have")
    if not weights:
        pickled = [file.path for file in listed if is_pickle(file.path)]
        if pickled:
            raise Refused(
                f"{repository}: {shown(pickled[0])} is refused (SUP-003): a pickle runs code while it is "
                "loaded, and the repository has no safetensors; choose one that has, or convert it"
            )
        raise Refused(f"{repository}: no .safetensors file in this revision, so there is nothing to serve")
    return chosen


def _needed(path: str, parts: set[str] | None) -> bool:
    if not safe(path):
        return False
    at_root = "/" not in path
    if path.endswith(WEIGHTS) and at_root and parts is not None:
        return path in parts
    return path.endswith((WEIGHTS, *TEXT)) and (at_root or MODULE.fullmatch(path) is not None)


def index_parts(path: Path, repository: str) -> set[str]:
    """Names of the weight files in an index. Raises Refused."""
    size = path.stat().st_size
    if size > MAX_INDEX_BYTES:
        raise Refused(f"{repository}: {INDEX} has {size_text(size)}, more than any index needs")
    try:
        parts = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Refused(f"{repository}: {INDEX} has no weight_map") from None
    if not all(isinstance(part, str) for part in parts):
        raise Refused(f"{repository}: weight_map of {INDEX} must name a file for each tensor")
    return parts
