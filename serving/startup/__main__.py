"""`python -m serving.startup [--model NAME]`: how long each stage of each replica's start took.

Asks the cluster that kubectl is configured for, and changes nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from serving.engines import engine_of
from serving.engines.engine import StartLog
from serving.names import COMPONENT_LABEL, ENGINE_LABEL, INFERENCE_NAMESPACE, NAME_LABEL
from serving.startup.stages import ENGINE_CONTAINER, StartUp, start_up, until_started

LOG_LINES = 20_000
"""More than any start has: a replica that never came up is not read for ever."""

COLUMNS = {
    "scheduling": "node",
    "pulling": "(image)",
    "preparing": "process",
    "loading": "weights",
    "compiling": "compile",
    "capturing": "graphs",
    "remaining": "rest",
    "ready": "ready",
}


class KubectlError(Exception):
    """kubectl is missing or was refused; the message is its own."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m serving.startup", description=__doc__)
    parser.add_argument("--model", help="of one model only; without it, of all")
    parser.add_argument("--json", action="store_true", help="as JSON, in seconds")
    options = parser.parse_args(arguments)
    try:
        found = start_ups(options.model)
    except KubectlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not found:
        of = "" if options.model is None else f" of model {options.model}"
        print(f"no replica{of} runs: one that sleeps has none (kubectl get pods -n {INFERENCE_NAMESPACE})")
        return 0
    if options.json:
        print(json.dumps([vars(item) for item in found], indent=2))
    else:
        show(found, Console(highlight=False))
    return 0


def start_ups(model: str | None) -> list[StartUp]:
    """The starts of the replicas that there are now, oldest first. Raises KubectlError."""
    chosen = f"{COMPONENT_LABEL}=engine" + ("" if model is None else f",{NAME_LABEL}={model}")
    pods = _items("get", "pods", "-l", chosen)
    events = _items("get", "events", "--field-selector", "reason=Pulled")
    ordered = sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])
    return [_start_up(pod, events) for pod in ordered]


def _start_up(pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> StartUp:
    told = engine_of(pod["metadata"]["labels"][ENGINE_LABEL]).start_log
    return start_up(pod, events, _log(pod["metadata"]["name"], told), told)


def show(found: Sequence[StartUp], console: Console) -> None:
    """A row for each replica; each figure is the seconds of its stage."""
    table = Table(title="start-up of each replica: seconds of each stage", box=None, pad_edge=False)
    # In a narrow terminal names go over two lines, figures never do.
    table.add_column("pod", overflow="fold")
    for title in COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    for item in found:
        figures = [_figure(getattr(item, name)) for name in COLUMNS]
        if item.from_cache:
            figures[list(COLUMNS).index("compiling")] += " c"
        restarted = f"restart {item.restarts} of " if item.restarts else ""
        table.add_row(restarted + item.pod, *figures)
    console.print(table)
    console.print(
        "node: until it is scheduled, with the wait for a machine. (image): pulling it, a part of the next; "
        "- if no event tells, they are kept for an hour. process: until it runs, with volumes. c: compiled "
        "code came from the cache. rest: imports, device, profiling, the next probe."
    )


def _figure(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"


def _items(*arguments: str) -> list[Mapping[str, Any]]:
    return json.loads(_kubectl(*arguments, "-o", "json"))["items"]


def _log(pod: str, told: StartLog) -> list[str]:
    """The engine's log until it was up; empty while it has none. The rest, its requests, is not fetched."""
    command = ["kubectl", "-n", INFERENCE_NAMESPACE, "logs", pod, "-c", ENGINE_CONTAINER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        lines = until_started(process.stdout, LOG_LINES, told)
        process.terminate()
    return lines


def _kubectl(*arguments: str) -> str:
    command = ["kubectl", "-n", INFERENCE_NAMESPACE, *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise KubectlError(
            'kubectl is not on PATH: for the local cluster, eval "$(make -s env)" first'
        ) from None
    if answer.returncode != 0:
        raise KubectlError(answer.stderr.strip())
    return answer.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
