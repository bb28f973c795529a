"""Vectors and scores without a model: texts with the same words are near each other, no more is meant.

The same text gives the same vector in every process. Each word turns a few values up or down (feature
hashing), so that a search over emulated embeddings finds what shares words with the query.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Iterable, Sequence

from local.engine.reply import mix
from local.engine.tokens import Prompt

VALUES_PER_WORD = 8
"""Values that one word changes: enough for two words not to cancel out by chance."""

BACKGROUND = 0.01
"""Of every value: without it, a text without words, or the beginning of one, would have no direction."""

CERTAIN = 4.0
"""Logit of a document that has every word of the query: a score of 0.98, and 0.02 for one that has none."""


def embedding(prompt: Prompt, width: int, dimensions: int, normalised: bool) -> Sequence[float]:
    """The first `dimensions` of the `width` values of a text, 32-bit floats, of length 1 if `normalised`."""
    values = [BACKGROUND] * width
    for word in _words(prompt):
        for index in range(VALUES_PER_WORD):
            drawn = mix(word + index)
            values[(drawn >> 1) % width] += 1 if drawn & 1 else -1
    kept = values[:dimensions]
    scale = 1 / math.sqrt(sum(value * value for value in kept)) if normalised else 1.0
    return array("f", [value * scale for value in kept])


def relevance(query: Prompt, document: Prompt) -> float:
    """Of a document for a query, 0 to 1: by the share of the query's words that it has."""
    asked = set(_words(query))
    found = len(asked & set(_words(document))) / len(asked) if asked else 0.0
    # Below what a word more or less changes: equal scores would leave the order to chance.
    spread = (mix(query.fingerprint ^ mix(document.fingerprint)) % 1000 - 500) / 500_000
    return 1 / (1 + math.exp(-CERTAIN * (2 * found - 1) - spread))


def _words(prompt: Prompt) -> Iterable[int]:
    if prompt.largest_id is not None:
        width = prompt.bytes_per_token
        content = prompt.content
        return [zlib.crc32(content[at : at + width]) for at in range(0, len(content), width)]
    # The token that ends a text, and what fills the one before it, are zeros and part of no word.
    return [zlib.crc32(word) for word in prompt.content.rstrip(b"\0").lower().split()]
