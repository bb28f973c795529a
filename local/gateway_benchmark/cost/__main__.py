"""`python -m local.gateway_benchmark.cost`: CPU time per request beside another commit, and of each part."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from local.gateway_benchmark.client import BadAnswer
from local.gateway_benchmark.cost.commits import commit_of, rendered, unpack
from local.gateway_benchmark.cost.left_out import LEFT_OUT, Change
from local.gateway_benchmark.cost.report import Result, document, into_page, markdown
from local.gateway_benchmark.cost.slices import Slices, Variant, compare
from local.gateway_benchmark.servers import ServerError, work_folder
from local.paths import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.gateway_benchmark.cost", description=__doc__)
    parser.add_argument("--base", default="main", help="a commit of this repository")
    parser.add_argument("--candidate", help="a commit, too; unless given, the files as they are now")
    parser.add_argument("--rounds", type=_at_least_two, default=200)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--requests", type=int, default=100, help="of each slice")
    parser.add_argument(
        "--without",
        nargs="*",
        choices=list(LEFT_OUT),
        default=[],
        metavar="PART",
        help=f"also without this part: {', '.join(LEFT_OUT)}",
    )
    parser.add_argument("--each", action="store_true", help="also without each part, one at a time")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--report", type=Path, help="put the tables into this page")
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    slices = Slices(arguments.rounds, arguments.connections, arguments.requests)
    parts = list(LEFT_OUT) if arguments.each else arguments.without
    try:
        with work_folder() as folder:
            result = _measured(
                arguments.base, arguments.candidate, parts, slices, Path(folder), console.print
            )
    except (ServerError, BadAnswer) as failure:
        console.print(f"[red]error[/red]: {failure}")
        return 1
    date = datetime.now(UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    text = markdown(result, slices, date, machine)
    console.print(Markdown(text))
    if arguments.json:
        figures = document(result, slices, date, machine)
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if arguments.report:
        page = arguments.report.read_text(encoding="utf-8")
        arguments.report.write_text(into_page(page, text), encoding="utf-8")
    return 0


def _measured(
    base: str,
    candidate: str | None,
    parts: Sequence[str],
    slices: Slices,
    folder: Path,
    say: Callable[[str], None],
) -> Result:
    other = unpack(commit_of(base), folder)
    tree = ROOT if candidate is None else unpack(commit_of(candidate), folder)
    variants = [
        Variant(base, lambda port, upstream: rendered(other, port, upstream)),
        Variant("today", lambda port, upstream: rendered(tree, port, upstream)),
        Variant("today again", lambda port, upstream: rendered(tree, port, upstream)),
        *(Variant(name, _without(tree, LEFT_OUT[name])) for name in parts),
    ]
    costs = compare(variants, slices, folder, say)
    return Result(costs[0], costs[1], costs[2], costs[3:])


def _without(tree: Path, change: Change) -> Callable[[int, int], Mapping[str, Any]]:
    def render(port: int, upstream_port: int) -> Mapping[str, Any]:
        document = dict(rendered(tree, port, upstream_port))
        change(document)
        return document

    return render


def _at_least_two(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError("must be 2 or more: quartiles need two rounds")
    return number


if __name__ == "__main__":
    sys.exit(main())
