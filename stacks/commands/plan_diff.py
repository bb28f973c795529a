"""`python -m stacks.commands.plan_diff [STACK ...] --base REVISION`: what a change does to stacks.

The stack files of the base are read from git; both sides are planned by the code of this checkout, so that
the difference is that of the stack files and not of two programs. Without STACK: every stack of either side.
Prints Markdown for a pull request, the verdicts first, errors included.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from stacks.commands.base import Base, RevisionError
from stacks.load import STACKS, from_file
from stacks.plan import make_plan
from stacks.plan.coming_and_going import Planned
from stacks.plan.difference import Side, summary, verdict
from stacks.plan.markdown import code
from stacks.problems import StackError

ROOT = STACKS.parent


def side(stack: str, folder: Path) -> Side:
    """The stack as its file in `folder` has it."""
    if not (folder / f"Pulumi.{stack}.yaml").is_file():
        return None
    try:
        read = from_file(stack, folder)
        return Planned(read, make_plan(read))
    except StackError as error:
        return error


def base_side(stack: str, base: Base) -> Side:
    """The stack as the base has it."""
    content = base.stack_file(stack)
    if content is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"Pulumi.{stack}.yaml").write_bytes(content)
        return side(stack, Path(folder))


def _same_file(stack: str, folder: Path, base: Base) -> bool:
    path = folder / f"Pulumi.{stack}.yaml"
    return path.is_file() and path.read_bytes() == base.stack_file(stack)


def _both(stack: str, folder: Path, base: Base) -> tuple[Side, Side]:
    """Before and after; a file that is the same is planned once."""
    after = side(stack, folder)
    return (after if _same_file(stack, folder, base) else base_side(stack, base)), after


def stack_names(folder: Path, base: Base) -> list[str]:
    """Stacks of either side."""
    here = {path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in folder.glob("Pulumi.*.yaml")}
    return sorted(here | set(base.stacks()))


def _check_known(names: Sequence[str], folder: Path, base: Base) -> None:
    """Raises StackError for a name that neither side has a file of."""
    for name in names:
        if base.stack_file(name) is None and not (folder / f"Pulumi.{name}.yaml").is_file():
            from_file(name, folder)


def main(arguments: list[str], today: date, root: Path = ROOT) -> int:
    """Exit status: 0, or 1 if a stack cannot be planned or must not become real, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m stacks.commands.plan_diff", description=__doc__)
    parser.add_argument("stacks", nargs="*", metavar="STACK", help="such as prod (default: all of them)")
    parser.add_argument("--base", default="main", help="revision to compare with (default: main)")
    options = parser.parse_args(arguments)
    folder = root / "stacks"
    try:
        base = Base.at(root, options.base)
        names = options.stacks or stack_names(folder, base)
        _check_known(names, folder, base)
    except (RevisionError, StackError) as error:
        # On the page, too: who reads a summary does not see the log.
        print(f"**Nothing was compared**: {code(error)}")
        return 1
    verdicts = [verdict(name, *_both(name, folder, base), today) for name in names]
    print(summary(verdicts, options.base, list(base.notes())), end="")
    return 1 if any(one.failed for one in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], date.today()))
