"""`python -m local.load.cases`: cold, warm node, hot spare and wake from zero, on the local cluster."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop
import yaml
from rich.console import Console

from local.fleet.api import Api, KubeconfigError, load_kubeconfig
from local.load.cases.report import Measured, document, markdown, measured
from local.load.cases.variations import CASES, Case, variation
from local.load.observe import Observer, Sample
from local.load.report import report
from local.load.run import Run, execute
from local.load.scenario import load_scenario
from local.load.target import Target, TargetError, find_target
from local.paths import BIN, KUBECONFIG, ROOT
from local.token import with_own_files
from local.up import STACK, DeployError, environment
from stacks.load import from_file
from stacks.problems import StackError

STEADY_SECONDS = 300.0
"""At most this long until the cluster is as a case wants it before its load."""

STAYS_SECONDS = 8.0
NODE_STARTUP_SECONDS = 30
"""Longer than the local default of 5, or a machine more would hardly show. A cloud takes 60 to 120."""


class CaseError(Exception):
    """An environment could not be made; the text holds what Pulumi said last, or what was waited for."""


def main() -> int:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="python -m local.load.cases", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="CASE", help=", ".join(names)
    )
    parser.add_argument("--node-startup-seconds", type=int, default=NODE_STARTUP_SECONDS)
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "capacity-cases.json")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "capacity-cases.md")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    original = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{STACK}.yaml").read_text(encoding="utf-8"))
    original["config"] = with_own_files(original["config"])
    results: list[Measured] = []
    chosen = [case for case in CASES if case.name in arguments.only]
    try:
        stack = from_file(STACK)
        for case in chosen:
            find_target(stack, load_scenario(case.scenario).model)
        with tempfile.TemporaryDirectory(prefix="llm-platform-cases-") as folder:
            try:
                for case in chosen:
                    console.print(f"{case.name}: {case.what}")
                    results.append(
                        _measure(case, original, arguments.node_startup_seconds, Path(folder), console.print)
                    )
                    _write(results, arguments.node_startup_seconds, arguments.json, arguments.report)
            finally:
                console.print("the environment as it was")
                _deploy(original, Path(folder) / "original.yaml")
    except (CaseError, TargetError, StackError, DeployError, KubeconfigError) as error:
        console.print(f"[red]error[/red]: {error}")
        if not results:
            return 1
    console.print(f"written to {arguments.json} and {arguments.report}")
    return 0 if len(results) == len(chosen) and all(result.failed == 0 for result in results) else 2


def _write(results: Sequence[Measured], node_startup: int, json_file: Path, report_file: Path) -> None:
    """After every case: what was measured is kept if a later one fails."""
    for path, text in (
        (json_file, json.dumps(document(results, node_startup), indent=2) + "\n"),
        (report_file, markdown(results, node_startup)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _measure(
    case: Case, original: Mapping[str, Any], node_startup: int, folder: Path, say: Callable[[str], None]
) -> Measured:
    scenario = load_scenario(case.scenario)
    changed = variation(original, case, scenario.model, node_startup)
    _deploy(changed, folder / f"{case.name}.yaml")
    target = find_target(from_file(STACK), scenario.model)
    uvloop.run(_until_ready(case, target, say))
    run: Run = uvloop.run(execute(scenario, target, lambda _: None))
    found = measured(case, run, report(run))
    say(
        f"{case.name}: first token of the slowest request after {found.ttft_largest:.1f} s, "
        f"{found.failed} of {found.requests} failed"
        if found.ttft_largest is not None
        else f"{case.name}: no request was answered"
    )
    return found


def _deploy(stack: Mapping[str, Any], file: Path) -> None:
    file.write_text(yaml.safe_dump(stack, sort_keys=False), encoding="utf-8")
    answer = subprocess.run(
        [
            str(BIN / "pulumi"), "up", "--yes", "--skip-preview", "--non-interactive", "--stack", STACK,
            "--config-file", str(file),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if answer.returncode != 0:
        end = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-15:])
        raise CaseError(f"pulumi up with {file.name} failed:\n{end}")


async def _until_ready(case: Case, target: Target, say: Callable[[str], None]) -> None:
    """Waits until replicas and machines are as the case wants them, and stay so for a while."""
    api = Api(load_kubeconfig(KUBECONFIG))
    observer = Observer(api, target.prometheus, target.model.name, target.node_selector)
    deadline = time.monotonic() + STEADY_SECONDS
    since: float | None = None
    last: Sample | None = None
    try:
        while time.monotonic() < deadline:
            last = await observer.sample(0.0)
            if last is None or not _as_wanted(last, case):
                since = None
            elif since is None:
                since = time.monotonic()
            elif time.monotonic() - since > STAYS_SECONDS:
                say(f"{case.name}: {last.ready} replicas and {len(last.nodes)} machines before the load")
                return
            await asyncio.sleep(1.0)
    finally:
        await observer.close()
        await api.close()
    seen = "nothing" if last is None else f"{last.ready} ready replicas and {len(last.nodes)} machines"
    raise CaseError(
        f"{case.name}: wanted {case.ready_before} ready replicas and {case.nodes_before} machines before the "
        f"load, saw {seen} for {STEADY_SECONDS:.0f} s"
    )


def _as_wanted(sample: Sample, case: Case) -> bool:
    machines = [node for node in sample.nodes if node.ready is not None]
    return (
        sample.ready == len(sample.replicas) == case.ready_before
        and len(machines) == len(sample.nodes) == case.nodes_before
    )


if __name__ == "__main__":
    sys.exit(main())
