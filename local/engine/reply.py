"""What the emulator answers: words that depend on the prompt and the seed, and how many of them.

The same prompt, seed and choice give the same text in every process. Every token is one word, so that the
reply can be produced from any position without keeping it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

OPENING = ("This", " reply", " is", " emulated", ":")
"""The first tokens say what it is, so that nobody reads meaning into the words that follow."""

WORDS = (
    " the", " of", " and", " to", " a", " in", " it", " is", " for", " on", " with", " as", " at", " by",
    " this", " from", " model", " batch", " cache", " block", " token", " queue", " step", " layer",
    " weight", " memory", " node", " pod", " pool", " scale", " load", " rate", " time", " first", " next",
    " last", " large", " small", " fast", " slow", " warm", " cold", " ready", " full", " empty", " reads",
    " writes", " waits", " runs", " starts", " ends", " holds", " moves", " gives", " takes", " keeps",
    " makes", " sends", " fills", " drains", " grows", " shrinks", ".", ",",
)  # fmt: skip

MEDIAN_LENGTH = 129
LENGTH_SIGMA = 1.0
"""Length of a reply without max_tokens: log-normal with this median (tokens) and this standard deviation of
the logarithm. Its mean is 129 x exp(0.5) = 213, that of the conversations in the public Azure trace of
November 2023 (211 tokens), whose lengths spread about as widely."""

_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """Spreads nearby integers over 64 bits (the finalizer of splitmix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def drawn_length(key: int) -> int:
    """Tokens of a reply that nothing limits, from the distribution above."""
    quantile = (mix(key ^ 0x5EED) + 0.5) / (_MASK + 1)
    return max(1, round(math.exp(NormalDist(math.log(MEDIAN_LENGTH), LENGTH_SIGMA).inv_cdf(quantile))))


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The text of one choice. `key` decides the words."""

    key: int

    def token(self, position: int) -> str:
        if position < len(OPENING):
            return OPENING[position]
        return WORDS[mix(self.key + position) & 63]

    def text(self, start: int, end: int) -> str:
        """Tokens `start` up to and without `end`."""
        return "".join([self.token(position) for position in range(start, end)])


@dataclass(frozen=True, slots=True)
class StopHit:
    """Where a stop string ends a reply: after `tokens` tokens, whose text is cut to `characters`."""

    tokens: int
    characters: int
    stop: str


def first_stop(reply: ReplyText, limit: int, stops: Sequence[str], minimum: int) -> StopHit | None:
    """The first of `stops` within `limit` tokens, looked for once `minimum` tokens are out, or None.

    The reply is known in advance, so the engine is told its true length when the request arrives.
    """
    if not stops:
        return None
    text = ""
    overlap = max(len(stop) for stop in stops) - 1
    for position in range(limit):
        scanned = max(0, len(text) - overlap)
        text += reply.token(position)
        if position + 1 <= minimum:
            continue
        found = [(where, stop) for stop in stops if (where := text.find(stop, scanned)) >= 0]
        if found:
            where, stop = min(found)
            return StopHit(tokens=position + 1, characters=where, stop=stop)
    return None
