"""What to say about a name that is not in a table: the nearest valid name first, then all of them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def valid_choices(value: str, choices: Iterable[str]) -> str:
    """End of a sentence that names the valid choices, with the likeliest one first.

    >>> valid_choices("nvidia-l40", ["nvidia-l40s", "nvidia-t4"])
    'did you mean nvidia-l40s? Valid: nvidia-l40s, nvidia-t4'
    >>> valid_choices("l4", ["nvidia-l4", "nvidia-t4"])
    'did you mean nvidia-l4? Valid: nvidia-l4, nvidia-t4'
    """
    names = sorted(choices)
    listed = f"Valid: {', '.join(names)}" if names else "None is defined"
    nearest = get_close_matches(value, names, n=1, cutoff=0.5) or [
        name for name in names if value.lower() in name.lower().split("-")
    ]
    return f"did you mean {nearest[0]}? {listed}" if nearest else listed


class UnknownNameError(ValueError):
    """A name that is in no row of its table; the message lists the names that are."""

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}: {valid_choices(name, choices)}")
