"""Writes whatever the program registers for each environment of renderings.py, unabridged, into a folder.

    python -m tests.stacks.program.dump before
    # ... change something ...
    python -m tests.stacks.program.dump after && diff -r before after

One file for each resource: where it stands among the others, and what it is registered with. Two runs of the
same program write the same files; Secrets, which hold a token signed at that moment, show nothing.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.recording import Recording, Registered, stack_outputs
from tests.stacks.program.abridged import to_yaml, without_secrets
from tests.stacks.program.renderings import RENDERINGS


def texts(recording: Recording) -> Iterator[tuple[str, str]]:
    """A file's name and text for each resource, and for the stack's outputs."""
    for resource in recording:
        yield (
            f"{resource.type}--{resource.name}.yaml".replace("/", ".").replace(":", "-"),
            to_yaml(described(resource)),
        )
    yield "outputs.yaml", to_yaml(stack_outputs(recording))


def described(resource: Registered) -> dict[str, Any]:
    return {
        "urn": resource.urn,
        "parent": resource.parent,
        "provider": resource.provider.rpartition("::")[0],
        "dependencies": sorted(resource.dependencies),
        "inputs": without_secrets(resource.inputs),
    }


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or Path(arguments[0]).exists():
        print("usage: python -m tests.stacks.program.dump FOLDER, which must not exist yet", file=sys.stderr)
        return 2
    for name, render in RENDERINGS.items():
        folder = Path(arguments[0]) / name
        folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as work:
            for file, text in texts(render(Path(work))):
                (folder / file).write_text(text.replace(work, "(folder of the kubeconfig)"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
