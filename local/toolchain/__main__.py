"""`python -m local.toolchain`: obtains every program of the local cluster and says where it came from."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from local.toolchain.obtain import obtain
from local.toolchain.sources import ToolFailure


def main() -> int:
    console = Console(soft_wrap=True)
    try:
        toolchain = obtain(console)
    except ToolFailure as failure:
        console.print(f"[red]error[/red]: {failure}", highlight=False)
        return 1
    table = Table("tool", "version", "from", "path")
    for tool in toolchain.tools:
        table.add_row(tool.name, tool.version, tool.origin, str(tool.path))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
