"""What vLLM's own parser knows: the flag table that the emulator reads, and whether command lines pass."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.engine.comparison.environment import Installed, Release
from local.engine.comparison.rendered import CommandLine
from local.engine.comparison.servers import ServerFailed
from local.engine.flags import FIRST, kept_rows, table_file

INSPECTION = Path(__file__).parent / "inspect_vllm.py"


@dataclass(frozen=True)
class Inspection:
    """What vLLM's own parser knows: its flags, and a complaint or None for each command line it was given."""

    flags: list[dict[str, Any]]
    verdicts: list[str | None]


def inspect(installed: Installed, command_lines: Sequence[Sequence[str]]) -> Inspection:
    """Asks the real vLLM's parser. Raises ServerFailed if it cannot be loaded."""
    finished = subprocess.run(
        [installed.python, INSPECTION, installed.release.cli_module],
        input=json.dumps(command_lines),
        env=installed.environment(),
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        raise ServerFailed(f"{INSPECTION.name} ended with {finished.returncode}:\n{finished.stderr[-2000:]}")
    document = json.loads(finished.stdout)
    return Inspection(document["flags"], document["verdicts"])


def write_flags(inspection: Inspection, release: Release) -> None:
    """Renews a release's flag table: whole for the first one, for a later one the rows that differ."""
    rows = [
        {key: value for key, value in row.items() if value not in (None, False)} for row in inspection.flags
    ]
    if release.version != FIRST:
        first = kept_rows(FIRST)
        rows = [row for row in rows if row not in first]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    source = json.dumps(f"vllm {release.version}, printed by local/engine/comparison/inspect_vllm.py")
    table_file(release.version).write_text(
        f'{{"source": {source},\n "flags": [\n{lines}\n]}}\n', encoding="utf-8"
    )


def flag_differences(inspection: Inspection, release: Release) -> dict[str, str]:
    """Flags that the kept table has and vLLM does not, or the reverse."""
    real = {option for row in inspection.flags for option in row["options"]}
    kept = {option for row in kept_rows(release.version) for option in row["options"]}
    return {f"flag {option}": "only real vLLM has it" for option in real - kept} | {
        f"flag {option}": "only the emulator has it" for option in kept - real
    }


def refused_commands(commands: Sequence[CommandLine], inspection: Inspection) -> dict[str, str]:
    """Command lines of this repository that vLLM's parser refuses."""
    return {
        f"command line of {command.model} in {command.stack}": complaint
        for command, complaint in zip(commands, inspection.verdicts, strict=True)
        if complaint is not None
    }
