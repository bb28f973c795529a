"""Files and modules that documents, comments and messages name are there, also after a move."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

FOLDERS = "|".join(
    folder
    for folder in ("infra", "serving", "stacks", "dashboards", "policies", "sizing", "local", "tests")
    if (ROOT / folder).is_dir()  # a fork may have removed `local`
)
FILE = re.compile(rf"(?<![\w./-])((?:{FOLDERS})/[\w./-]*\.(?:py|lua|sh|yaml))\b")
COMMAND = re.compile(rf"python3? -m ((?:{FOLDERS})(?:\.\w+)*)")

EXAMPLES = {"stacks/Pulumi.NAME.yaml", "tests/a/b/test_c.py"}
"""Named for a form of names, not for a file."""


def texts() -> Iterator[Path]:
    """Everything of ours that people read, besides the rendered files."""
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "Pulumi.yaml"))
    for folder in ("docs", *FOLDERS.split("|")):
        for suffix in ("md", "py", "yaml", "lua", "sh"):
            yield from (path for path in (ROOT / folder).rglob(f"*.{suffix}") if "golden" not in path.parts)


def is_there(module: str) -> bool:
    place = ROOT / module.replace(".", "/")
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()


def test_every_file_and_command_that_is_named_is_there():
    missing: dict[str, set[str]] = {}
    seen = 0
    for path in texts():
        text = path.read_text(encoding="utf-8")
        files, commands = set(FILE.findall(text)) - EXAMPLES, set(COMMAND.findall(text))
        seen += len(files) + len(commands)
        if not (ROOT / "tests" / "local").is_dir():
            # Where that folder was removed, so was the test that removes it from a copy.
            files = {
                name for name in files if not name.startswith(("tests/local/", "tests/test_without_local"))
            }
        gone = {name for name in files if not (ROOT / name).exists()} | {
            name for name in commands if not is_there(name)
        }
        if gone:
            missing[str(path.relative_to(ROOT))] = gone
    assert seen > 100
    assert missing == {}
