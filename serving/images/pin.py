"""`python -m serving.images.pin [ROW ...]`: writes the digests of data/images.yaml as registries name them.

Every row is asked for, also those that have a digest: a tag may have moved. What cannot be resolved stays as
it is, and the file is replaced as a whole or not at all. Read the difference before you commit it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from serving.images.pinned import TABLE, Image
from serving.images.reference import ImageReference, read_reference
from serving.images.registry import RegistryError, Resolved, resolve
from sizing.choices import valid_choices
from sizing.tables import read_table

Resolve = Callable[[ImageReference], Resolved]


class LayoutError(Exception):
    """The table cannot be edited line by line; the message says what to do."""


@dataclass(frozen=True)
class Outcome:
    """What became of one row. after: the row as it is to be, or as it was if failed."""

    before: Image
    after: Image
    happened: str
    failed: bool = False


def outcome(row: Image, ask: Resolve, today: date) -> Outcome:
    """Asks for one row."""
    reference = read_reference(f"{row.repository}:{row.tag}")
    try:
        found = ask(reference)
    except RegistryError as error:
        return Outcome(row, row, str(error), failed=True)
    one_platform = "" if found.platforms else "; it is built for one platform only"
    if found.digest == row.digest:
        return Outcome(row, row, f"unchanged{one_platform}")
    source = f"{reference.registry}, asked by make pin-images"
    after = replace(row, digest=found.digest, as_of=today, source=source, waiver=None)
    if row.digest is None:
        return Outcome(row, after, f"pinned, its waiver is gone{one_platform}")
    return Outcome(row, after, f"the tag has moved since {row.as_of}: read why{one_platform}")


def rewritten(text: str, outcomes: Sequence[Outcome]) -> str:
    """The file with new digests, days and sources in their lines; every other line stays as it is.

    A library that keeps comments would still lose those behind a waiver, which goes as a whole.
    """
    for found in outcomes:
        if found.after is not found.before:
            text = _with_row(text, found.after)
    return text


def _with_row(text: str, row: Image) -> str:
    block = re.search(rf"^  {re.escape(row.name)}:.*\n(?:(?:    .*)?\n)*", text, re.MULTILINE)
    if block is None:
        return text
    lines = block[0]
    for field, value in (("digest", row.digest), ("as_of", row.as_of), ("source", row.source)):
        lines = re.sub(rf"^    {field}: .*$", f"    {field}: {value}", lines, flags=re.MULTILINE)
    lines = re.sub(r"^    waiver:.*\n(?:      .*\n)*", "", lines, flags=re.MULTILINE)
    return text[: block.start()] + lines + text[block.end() :]


def write(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Replaces the file at once, after what is to be written was read back.

    Raises LayoutError if that differs from what was meant.
    """
    waiting = path.with_suffix(".new")
    waiting.write_text(rewritten(path.read_text(encoding="utf-8"), outcomes), encoding="utf-8")
    try:
        wanted = {**read_table(path, Image), **{found.after.name: found.after for found in outcomes}}
        if _rows(waiting) != wanted:
            raise LayoutError(
                f"{path.name}: its rows are not laid out as this command can edit them, one field a line; "
                "nothing was written. Write these digests by hand: "
                + ", ".join(f"{found.after.name} {found.after.digest}" for found in outcomes)
            )
        os.replace(waiting, path)
    finally:
        waiting.unlink(missing_ok=True)


def _rows(path: Path) -> dict[str, Image] | None:
    """The table at `path`; None if it is none."""
    try:
        return dict(read_table(path, Image))
    except (ValueError, yaml.YAMLError):
        return None


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Prints what happened to each row."""
    table = Table(title="Images", title_justify="left", show_lines=True)
    table.add_column("row", no_wrap=True)
    for heading in ("image", "old", "new", "what happened"):
        table.add_column(heading, overflow="fold")
    for found in outcomes:
        row = found.before
        table.add_row(
            row.name,
            f"{row.repository}:{row.tag}",
            _short(row.digest),
            "" if found.failed else _short(found.after.digest),
            f"not resolved: {found.happened}" if found.failed else found.happened,
        )
    console.print(table)


def _short(digest: str | None) -> str:
    """Enough of a digest to tell two apart; the file has all of it."""
    return "none" if digest is None else digest[:19]


def chosen(rows: Mapping[str, Image], names: Sequence[str]) -> list[Image]:
    """The rows with these names, all without any. Raises ValueError for a name that none has."""
    for name in names:
        if name not in rows:
            raise ValueError(f"no image {name!r}: {valid_choices(name, rows)}")
    return [row for name, row in rows.items() if not names or name in names]


def main(arguments: Sequence[str], path: Path = TABLE, ask: Resolve = resolve) -> int:
    """Exit status: 0 if every row was resolved, 1 if one was not, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.images.pin", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows (default: all)")
    options = parser.parse_args(arguments)
    try:
        rows = chosen(read_table(path, Image), options.rows)
    except ValueError as error:
        parser.error(str(error))
    outcomes = [outcome(row, ask, date.today()) for row in rows]
    show(outcomes, Console())
    changed = [found for found in outcomes if found.after is not found.before]
    if changed:
        try:
            write(path, changed)
        except LayoutError as error:
            print(error, file=sys.stderr)
            return 1
    failed = [found.before.name for found in outcomes if found.failed]
    print(f"{len(changed)} of {len(outcomes)} rows written to {path.name}.")
    if failed:
        print(
            f"Not resolved: {', '.join(failed)}; those rows are as they were. Where a registry can be "
            "reached by other means, `docker buildx imagetools inspect IMAGE` names the digest of the index.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
