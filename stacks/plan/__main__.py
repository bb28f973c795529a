"""`python -m stacks.plan <stack> [--json]`: the plan of a stack file, without credentials or a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date

from rich.console import Console

from stacks.load import from_file
from stacks.plan.judgement import refusals, warnings
from stacks.plan.make import make_plan
from stacks.plan.tables import show
from stacks.problems import StackError


def main(arguments: list[str], today: date) -> int:
    """Exit status: 0, or 1 for a stack that must not become real, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m stacks.plan", description=__doc__)
    parser.add_argument("stack", help="name of a stack, such as local for stacks/Pulumi.local.yaml")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON instead of tables")
    options = parser.parse_args(arguments)
    try:
        plan = make_plan(from_file(options.stack))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    reminders = warnings(plan, today)
    if options.json:
        print(json.dumps({**plan.exported(), "warnings": reminders}, indent=2))
    else:
        show(plan, reminders, Console())
    problems = refusals(plan)
    if problems:
        print(StackError(f"Pulumi.{options.stack}.yaml", problems), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], date.today()))
