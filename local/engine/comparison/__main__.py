"""Compares the emulator with real vLLMs and writes what differs. Status 1 if anything unexpected does."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from local.engine.comparison.differences import all_differences, judge, known_differences
from local.engine.comparison.environment import (
    RELEASES,
    EnvironmentUnavailable,
    Release,
    installed,
    release_named,
)
from local.engine.comparison.facts import (
    flag_differences,
    inspect,
    refused_commands,
    write_flags,
)
from local.engine.comparison.observations import Observed, write_observed
from local.engine.comparison.observing import observed_emulator, observed_vllm, with_what_chance_may_bring
from local.engine.comparison.rendered import CommandLine, rendered_command_lines
from local.engine.comparison.report import report
from local.engine.comparison.servers import ServerFailed
from local.engine.comparison.sessions import sessions
from local.paths import LOGS


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.engine.comparison", description=__doc__)
    parser.add_argument(
        "--report", type=Path, default=LOGS, help="folder for a table of all requests per release"
    )
    parser.add_argument(
        "--release",
        action="append",
        help=f"release to compare with, as often as wanted; all of them by default: "
        f"{', '.join(release.short for release in RELEASES)}",
    )
    parser.add_argument("--write-facts", action="store_true", help="renew the tables that come from vLLM")
    options = parser.parse_args(arguments)
    commands = rendered_command_lines()
    try:
        releases = RELEASES if options.release is None else [release_named(name) for name in options.release]
        emulated = observed_emulator(sessions())
        passed = [
            compared(release, commands, emulated, options.report, options.write_facts) for release in releases
        ]
    except (EnvironmentUnavailable, ServerFailed) as error:
        print(f"no comparison: {error}", file=sys.stderr)
        return 1
    return 0 if all(passed) else 1


def compared(
    release: Release, commands: Sequence[CommandLine], emulated: Observed, folder: Path, write_facts: bool
) -> bool:
    """Compares one release, writes its report, and says whether nothing unexpected differs."""
    there = installed(release)
    inspection = inspect(there, [command.arguments for command in commands])
    real = with_what_chance_may_bring(observed_vllm(sessions(), there), release)
    if write_facts:
        write_flags(inspection, release)
        write_observed(release, datetime.date.today().isoformat(), real)
    found = {
        **refused_commands(commands, inspection),
        **flag_differences(inspection, release),
        **all_differences(real, emulated, release),
    }
    verdict = judge(found, release, known_differences())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"vllm-{release.version}-comparison.md"
    path.write_text(report(release, verdict, commands, real), encoding="utf-8")
    for name, difference in verdict.unexpected.items():
        print(f"unexpected: {name}: {difference}", file=sys.stderr)
    for name in verdict.gone:
        print(f"no longer differs, remove it from known_differences.yaml: {name}", file=sys.stderr)
    print(
        f"vLLM {release.version}: {len(real.answers)} requests, {len(verdict.known)} known differences, "
        f"{len(verdict.unexpected)} unexpected; {path}"
    )
    return not verdict.unexpected and not verdict.gone


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
