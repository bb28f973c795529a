"""`python -m local.load.chaos`: breaks the running local cluster, part by part, under a steady load."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import uvloop
from rich.console import Console

from local.fleet.api import KubeconfigError
from local.load.chaos.experiment import Experiment, NotRecovered, longest
from local.load.chaos.faults import Spared, faults
from local.load.chaos.processes import NoProcess
from local.load.chaos.report import document, markdown
from local.load.run import Run, execute
from local.load.scenario import load_scenario
from local.load.target import TargetError, find_target
from local.paths import ROOT
from local.up import DeployError
from stacks.load import from_file
from stacks.problems import StackError

BLIND_SECONDS = 600.0


def main() -> int:
    names = [fault.name for fault in faults(BLIND_SECONDS)]
    parser = argparse.ArgumentParser(prog="python -m local.load.chaos", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="FAULT", help=", ".join(names)
    )
    parser.add_argument("--blind-seconds", type=float, default=BLIND_SECONDS, help="without metrics")
    parser.add_argument("--stack", default="local")
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "chaos.json")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "chaos.md")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    chosen = [fault for fault in faults(arguments.blind_seconds) if fault.name in arguments.only]
    experiment = Experiment(chosen, console.print)
    runs: list[Run] = []
    problems: list[Exception] = []
    try:
        steady = load_scenario("steady")
        phase = steady.phases[0].model_copy(update={"seconds": longest(chosen)})
        scenario = steady.model_copy(
            update={
                "phases": (phase,),
                "limits": steady.limits.model_copy(
                    update={"requests": int(2 * phase.seconds * phase.requests_per_second) + 100}
                ),
            }
        )
        target = find_target(from_file(arguments.stack), scenario.model)

        def remember(run: Run) -> None:
            runs[:] = [run]

        uvloop.run(execute(scenario, target, remember, experiment))
    except* (TargetError, StackError, DeployError, KubeconfigError, NotRecovered, NoProcess, Spared) as group:
        problems.extend(error for error in group.exceptions if isinstance(error, Exception))
    for problem in problems:
        console.print(f"[red]error[/red]: {problem}")
    if not experiment.findings:
        return 1
    (run,) = runs
    for path, text in (
        (arguments.json, json.dumps(document(run, experiment.findings), indent=2) + "\n"),
        (arguments.report, markdown(run, experiment.findings)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    console.print(f"written to {arguments.json} and {arguments.report}")
    complete = len(experiment.findings) == len(chosen)
    return 0 if complete and all(found.held for found in experiment.findings) else 2


if __name__ == "__main__":
    sys.exit(main())
