"""`python -m local.gateway_benchmark`: requests per second on one core and added latency of the gateway."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from local.gateway_benchmark.client import BadAnswer
from local.gateway_benchmark.measure import RIVALS, Plan, measure
from local.gateway_benchmark.picture import draw
from local.gateway_benchmark.report import document, markdown
from local.gateway_benchmark.servers import ServerError, work_folder
from local.paths import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.gateway_benchmark", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=300.0, help="requests/s at which latency is measured")
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=list(RIVALS),
        default=[],
        help="compare with these, too; each is installed beside the other tools (100 and 400 MB)",
    )
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "gateway-benchmark.json")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "gateway-benchmark.md")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    plan = Plan(
        arguments.rounds,
        arguments.connections,
        arguments.seconds,
        arguments.rate,
        tuple(arguments.rivals),
    )
    try:
        with work_folder() as folder:
            results, pinned = measure(plan, Path(folder), console.print)
    except (ServerError, BadAnswer) as failure:
        console.print(f"[red]error[/red]: {failure}")
        return 1
    date = datetime.now(UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    text = markdown(plan, results, pinned, date, machine)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(
        json.dumps(document(plan, results, pinned, date, machine), indent=2) + "\n", encoding="utf-8"
    )
    arguments.report.write_text(text, encoding="utf-8")
    draw(results, arguments.report.with_suffix(".png"))
    console.print(Markdown(text))
    console.print(f"written to {arguments.json} and {arguments.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
