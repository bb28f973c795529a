"""Compares the emulator with a real vLLM and writes what differs. Status 1 if anything unexpected does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from local.engine.comparison.differences import Verdict, all_differences, judge, known_differences
from local.engine.comparison.environment import VLLM_VERSION, EnvironmentUnavailable
from local.engine.comparison.exchanges import Shape, differences
from local.engine.comparison.facts import (
    Inspection,
    inspect,
    kept_flags,
    observe,
    write_flags,
    write_observed,
)
from local.engine.comparison.pooling import POOLING_ENGINES, observe_answers, write_observed_answers
from local.engine.comparison.rendered import CommandLine, rendered_command_lines
from local.engine.comparison.servers import ServerFailed, emulator, real_vllm
from local.paths import LOGS


def flag_differences(inspection: Inspection) -> dict[str, str]:
    """Flags that the kept table has and vLLM does not, or the reverse."""
    real = {option for row in inspection.flags for option in row["options"]}
    kept = {option for row in kept_flags() for option in row["options"]}
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


def report(verdict: Verdict, commands: Sequence[CommandLine]) -> str:
    """The comparison in Markdown."""
    reasons = known_differences()
    lines = [f"# Emulator against vLLM {VLLM_VERSION}", ""]
    lines += [
        f"{len(commands)} command lines given to vLLM's own parser.",
        "",
        "## Unexpected differences",
        "",
    ]
    lines += [f"- {name}: {what}" for name, what in verdict.unexpected.items()] or ["None."]
    lines += ["", "## Known differences", ""]
    lines += [f"- {name}: {reasons[name]}\n  - {what}" for name, what in verdict.known.items()] or ["None."]
    if verdict.gone:
        lines += ["", "## Known differences that are gone", "", *(f"- {name}" for name in verdict.gone)]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.engine.comparison", description=__doc__)
    parser.add_argument(
        "--report", type=Path, default=LOGS / "vllm-comparison.md", help="file for the differences"
    )
    parser.add_argument("--write-facts", action="store_true", help="renew the tables that come from vLLM")
    options = parser.parse_args(arguments)
    commands = rendered_command_lines()
    try:
        inspection = inspect([command.arguments for command in commands])
        with real_vllm() as server:
            real = observe(server)
        real_answers: dict[str, Shape] = {}
        emulated_answers: dict[str, Shape] = {}
        for engine in POOLING_ENGINES:
            with real_vllm(*engine.vllm_flags) as server:
                real_answers |= observe_answers(engine, server)
            with emulator(*engine.emulator_flags, model=engine.emulated_model) as server:
                emulated_answers |= observe_answers(engine, server)
        if options.write_facts:
            write_flags(inspection)
            write_observed(real)
            write_observed_answers(real_answers)
        with emulator() as server:
            emulated = observe(server)
    except (EnvironmentUnavailable, ServerFailed) as error:
        print(f"no comparison: {error}", file=sys.stderr)
        return 1
    found = {
        **refused_commands(commands, inspection),
        **flag_differences(inspection),
        **all_differences(real, emulated),
        **differences(real_answers, emulated_answers),
    }
    verdict = judge(found)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(report(verdict, commands), encoding="utf-8")
    for name, difference in verdict.unexpected.items():
        print(f"unexpected: {name}: {difference}", file=sys.stderr)
    for name in verdict.gone:
        print(f"no longer differs, remove it from known_differences.yaml: {name}", file=sys.stderr)
    print(f"{len(verdict.known)} known differences, {len(verdict.unexpected)} unexpected; {options.report}")
    return 1 if verdict.unexpected or verdict.gone else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
