"""`python -m local.load`: a load run on the running local cluster, with a picture and a JSON report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import uvloop
from rich.console import Console

from local.fleet.api import KubeconfigError
from local.load.arrivals import TooManyRequests
from local.load.picture import draw
from local.load.report import report
from local.load.run import execute
from local.load.scenario import ScenarioError, load_scenario
from local.load.table import shown, summary
from local.load.target import TargetError, find_target
from local.paths import STATE
from local.up import DeployError
from stacks.load import from_file
from stacks.problems import StackError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.load", description=__doc__)
    parser.add_argument("--scenario", default="burst", help="name in local/load/scenarios, or a .yaml file")
    parser.add_argument("--stack", default="local", help="stack whose SLO and node pools count")
    parser.add_argument(
        "--json", type=Path, default=STATE / "load.json", help="report (default: %(default)s)"
    )
    parser.add_argument("--picture", type=Path, default=STATE / "load.png", help="(default: %(default)s)")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    try:
        scenario = load_scenario(arguments.scenario)
        target = find_target(from_file(arguments.stack), scenario.model)
        console.print(f"{scenario.description}: {scenario.seconds:.0f} s of load on {target.gateway}")
        with shown(console) as tick:
            run = uvloop.run(execute(scenario, target, tick))
    except (ScenarioError, TooManyRequests, TargetError, StackError, DeployError, KubeconfigError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]error[/red]: {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped: nothing of the load goes on")
        return 130
    result = report(run)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(result.document(), indent=2) + "\n", encoding="utf-8")
    draw(run, arguments.picture)
    console.print(summary(result))
    console.print(f"written to {arguments.json} and {arguments.picture}")
    return 0 if result.valid and not result.failed else 2


if __name__ == "__main__":
    sys.exit(main())
