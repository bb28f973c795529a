"""The revision that a change is compared with, read from git."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from stacks.commands.schema import PATH as SCHEMA_PATH
from stacks.commands.schema import VERSION
from stacks.plan.markdown import code

IMAGES = "serving/images/data/images.yaml"

PLANNED_WITH = ("sizing", "serving", "infra", "stacks/plan", "stacks/config", "stacks/validate")
"""Folders whose code and data every plan rests on."""

FILES_NAMED = 5


class RevisionError(ValueError):
    """The base cannot be read from git; the message says why and what to do."""


@dataclass(frozen=True)
class Base:
    """A commit of the repository in `root`."""

    root: Path
    revision: str

    @classmethod
    def at(cls, root: Path, revision: str) -> Base:
        """Raises RevisionError if git does not know it."""
        # The end of options: a revision that begins with a dash is none.
        if (
            _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
            is None
        ):
            raise RevisionError(
                f'git knows no revision "{revision}": fetch it (`git fetch origin {revision}`), or name '
                "another with --base"
            )
        return cls(root, revision)

    def stacks(self) -> list[str]:
        """Names of the stacks that it has a file of."""
        listed = _git(self.root, "ls-tree", "-z", "--name-only", self.revision, "stacks/") or b""
        paths = [Path(path).name for path in listed.decode(errors="replace").split("\0")]
        return [
            path.removeprefix("Pulumi.").removesuffix(".yaml")
            for path in paths
            if path.startswith("Pulumi.") and path.endswith(".yaml")
        ]

    def stack_file(self, stack: str) -> bytes | None:
        """What is in the file of `stack`; None without one."""
        return self._file(f"stacks/Pulumi.{stack}.yaml")

    def notes(self) -> Iterator[str]:
        """What all stacks have in common, as Markdown: images that change, and what cannot be compared."""
        yield from self._schema_notes()
        yield from self._images()
        yield from self._planned_with()

    def _file(self, path: str) -> bytes | None:
        return _git(self.root, "show", f"{self.revision}:{path}")

    def _schema_notes(self) -> Iterator[str]:
        content = self._file(f"stacks/{SCHEMA_PATH.name}")
        revision = code(self.revision)
        if content is None:
            yield f"{revision} has no schema: its stack files may mean something else by the same keys."
            return
        version = json.loads(content).get("version")
        if version != VERSION:
            yield (
                f"{revision} has version {code(version)} of the schema, this checkout {VERSION}: keys that "
                "changed their meaning are compared as if they had not."
            )

    def _images(self) -> Iterator[str]:
        path = self.root / IMAGES
        content = self._file(IMAGES)
        if content is None or not path.is_file():
            return
        before, after = _references(content), _references(path.read_bytes())
        changes = [
            f"{code(name)} {code(before.get(name, '-'))} → {code(after.get(name, '-'))}"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        if changes:
            yield f"Images, of every stack: {'; '.join(changes)}."

    def _planned_with(self) -> Iterator[str]:
        listed = _git(self.root, "diff", "-z", "--name-only", self.revision, "--", *PLANNED_WITH) or b""
        paths = [path for path in listed.decode(errors="replace").split("\0") if path and path != IMAGES]
        if paths:
            named = ", ".join(map(code, paths[:FILES_NAMED]))
            more = f" and {len(paths) - FILES_NAMED} more" if len(paths) > FILES_NAMED else ""
            yield (
                "This change also touches what every plan is made with, and both sides are planned with the "
                f"new one, so its effect, if any, is not shown here: {named}{more}."
            )


def _references(content: bytes) -> dict[str, str]:
    """Tag and digest of each image."""
    rows = yaml.safe_load(content)["rows"]
    return {
        str(name): f"{row['tag']}{'' if row.get('digest') is None else '@' + str(row['digest'])[:19]}"
        for name, row in rows.items()
    }


def _git(root: Path, *arguments: str) -> bytes | None:
    """What git prints, or None if it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None
