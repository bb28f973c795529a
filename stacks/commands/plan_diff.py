"""`python -m stacks.commands.plan_diff <stack> --base <revision>`: what a change does to replicas and money.

The stack file of the base is read from git; both are planned by the code of this checkout, so that the
difference is that of the stack files and not of two programs. Prints Markdown, for a pull request.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from stacks.commands.schema import PATH as SCHEMA_PATH
from stacks.commands.schema import VERSION
from stacks.load import STACKS, from_file
from stacks.plan import Plan, make_plan
from stacks.plan.difference import markdown
from stacks.plan.judgement import refusals
from stacks.problems import StackError

ROOT = STACKS.parent


class RevisionError(ValueError):
    """The base cannot be read from git; the message says why and what to do."""


@dataclass(frozen=True)
class Base:
    """The stack as it is at the base. plan: None where it has none; notes: what could not be compared."""

    plan: Plan | None
    notes: tuple[str, ...]


def base_plan(stack: str, revision: str, root: Path = ROOT) -> Base:
    """The plan of `stack` at `revision`. Raises RevisionError."""
    if _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise RevisionError(
            f'git knows no revision "{revision}": fetch it (`git fetch origin {revision}`), or name another '
            "with --base"
        )
    text = _git(root, "show", f"{revision}:stacks/Pulumi.{stack}.yaml")
    if text is None:
        return Base(None, (f"`{revision}` has no stack `{stack}`: everything in it is new.",))
    notes = list(_schema_notes(root, revision))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")
        try:
            return Base(make_plan(from_file(stack, Path(folder))), tuple(notes))
        except StackError as error:
            notes.append(
                f"The stack file of `{revision}` cannot be planned by today's rules, so only the new plan is "
                "shown. What stands in the way:"
            )
            notes += [f"- `{problem.path}`: {problem.message}" for problem in error.problems]
            return Base(None, tuple(notes))


def _schema_notes(root: Path, revision: str) -> Iterator[str]:
    text = _git(root, "show", f"{revision}:stacks/{SCHEMA_PATH.name}")
    if text is None:
        yield f"`{revision}` has no schema: its stack file may mean something else by the same keys."
        return
    version = json.loads(text).get("version")
    if version != VERSION:
        yield (
            f"`{revision}` has version {version} of the schema, this checkout {VERSION}: keys that changed "
            "their meaning are compared as if they had not."
        )


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None if it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def main(arguments: list[str], today: date, root: Path = ROOT) -> int:
    """Exit status: 0, or 1 if the stack cannot be planned or must not become real, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m stacks.commands.plan_diff", description=__doc__)
    parser.add_argument("stack", help="name of a stack, such as prod")
    parser.add_argument("--base", default="main", help="revision to compare with (default: main)")
    options = parser.parse_args(arguments)
    try:
        plan = make_plan(from_file(options.stack, root / "stacks"))
        base = base_plan(options.stack, options.base, root)
    except (StackError, RevisionError) as error:
        print(error, file=sys.stderr)
        return 1
    title = f"Plan of `{options.stack}` against `{options.base}`"
    print(markdown(title, base.notes, base.plan, plan, today), end="")
    return 1 if refusals(plan) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], date.today()))
