"""Values of a list that must differ from one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stacks.problems import Problem


def duplicates(path: str, values: Sequence[str], key: str = "") -> Iterator[Problem]:
    """A problem for each value of the list at `path` that an earlier entry has; `key` is where it stands."""
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in first:
            place = f"{path}[{index}]{key}"
            yield Problem(place, f'"{value}" is already used by {path}[{first[value]}]: choose another')
        first.setdefault(value, index)
