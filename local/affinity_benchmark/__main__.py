"""`python -m local.affinity_benchmark`: what `prompt_cache_key` gains and costs."""

from __future__ import annotations

import argparse
import json
import os
import platform as machine_platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from local.affinity_benchmark.measure import Plan, measure
from local.affinity_benchmark.picture import draw
from local.affinity_benchmark.report import document, markdown
from local.affinity_benchmark.servers import platform
from local.gateway_benchmark.servers import ServerError
from local.paths import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.affinity_benchmark", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of each measurement: three cases under four policies"
    )
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs", help="folder for affinity.{json,md,png}"
    )
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    plan = Plan(arguments.rounds, arguments.seconds, arguments.replicas)
    try:
        with tempfile.TemporaryDirectory() as folder, platform(Path(folder), plan.replicas) as started:
            results = measure(plan, started, console.print)
    except ServerError as failure:
        console.print(f"[red]error[/red]: {failure}")
        return 1
    date = datetime.now(UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {machine_platform.system()} {machine_platform.machine()}"
    text = markdown(plan, results, date, machine)
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(document(plan, results, date, machine), indent=2)
    (output / "affinity.json").write_text(facts + "\n", encoding="utf-8")
    (output / "affinity.md").write_text(text, encoding="utf-8")
    draw(results, output / "affinity.png")
    console.print(Markdown(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
