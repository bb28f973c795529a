"""`python -m stacks.commands.policy_summary [STACK ...]`: what the policy pack says, as Markdown.

For the summary of a pull request: the verdict on each stack first, then what is broken with its remedy, and
advice and waivers folded. What several stacks have in common is said once.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import pulumi

from policies.configuration import ConfigurationError
from policies.process import Finding, PackFailure
from stacks.commands.policy_check import Verdict, check, default_configuration, waivers
from stacks.load import STACKS, from_file
from stacks.plan import make_plan
from stacks.plan.judgement import refusals
from stacks.plan.markdown import bullets, code, folded, table
from stacks.problems import StackError

Item = TypeVar("Item", bound=Hashable)

NOT_PLANNED = "its plan fails, `make plan-diff` says why"

Judged = dict[str, Verdict | str]
"""Of each stack the verdict, or as Markdown why there is none."""


def judge(stack: str) -> Verdict | str:
    """The verdict on `stacks/Pulumi.<stack>.yaml`, or what stands in the way of one."""
    try:
        read = from_file(stack)
        # The program would end with the same refusals, which the plan has said already.
        return NOT_PLANNED if refusals(make_plan(read)) else check(read, stack, default_configuration(stack))
    except StackError:
        return NOT_PLANNED
    except (pulumi.RunError, ConfigurationError, PackFailure) as error:
        return code(error)


def summary(judged: Judged) -> str:
    """All of it."""
    verdicts = {name: found for name, found in judged.items() if isinstance(found, Verdict)}
    broken = {name: verdict for name, verdict in verdicts.items() if verdict.refused}
    passed = [name for name, verdict in verdicts.items() if not verdict.refused]
    lines = [
        *(f"**Policies: {code(name)} is refused** by {_rules(verdict)}" for name, verdict in broken.items()),
        *(
            f"**Policies: {code(name)} cannot be judged**: {reason}"
            for name, reason in judged.items()
            if isinstance(reason, str)
        ),
    ]
    if passed:
        lines.append(f"Policies: {', '.join(map(code, passed))}: no mandatory rule is broken")
    return "\n\n".join([bullets(lines), *_mandatory(broken), *_folded(verdicts)]) + "\n"


def _rules(verdict: Verdict) -> str:
    names = dict.fromkeys(finding.rule for finding in verdict.findings if finding.level == "mandatory")
    return ", ".join(map(code, names))


def _mandatory(broken: dict[str, Verdict]) -> list[str]:
    return _findings(broken, "finding", lambda finding: finding.level == "mandatory")


def _folded(verdicts: dict[str, Verdict]) -> list[str]:
    advice = _findings(verdicts, "advice", lambda finding: finding.level != "mandatory")
    waived = _common((name, waivers(verdict)) for name, verdict in verdicts.items())
    scope = _common((name, verdict.scope) for name, verdict in verdicts.items())
    said = [
        bullets([f"{stacks}: {title}{code(line)}" for line, stacks in lines])
        for title, lines in (("waived: ", waived), ("", scope))
        if lines
    ]
    return (
        [folded("Advice, waivers, and what was judged", "\n\n".join([*advice, *said]))]
        if advice or said
        else []
    )


def _findings(verdicts: dict[str, Verdict], title: str, concerns: Callable[[Finding], bool]) -> list[str]:
    """A row for each finding, with all stacks that have it; below, the remedy of each rule."""
    found = _common(
        (name, [(finding.rule, finding.message) for finding in verdict.findings if concerns(finding)])
        for name, verdict in verdicts.items()
    )
    if not found:
        return []
    remedies = {
        rule: facts.remediation for verdict in verdicts.values() for rule, facts in verdict.rules.items()
    }
    rules = dict.fromkeys(rule for (rule, _), _ in found)
    return [
        table(
            ("rule", "stacks", title), [[code(rule), stacks, code(said)] for (rule, said), stacks in found]
        ),
        bullets([f"{code(rule)}: {code(remedies[rule])}" for rule in rules]),
    ]


def _common(items: Iterable[tuple[str, Sequence[Item]]]) -> list[tuple[Item, str]]:
    """Each item once, with the stacks that have it."""
    stacks: dict[Item, list[str]] = {}
    for name, found in items:
        for item in dict.fromkeys(found):
            stacks.setdefault(item, []).append(name)
    return [(item, ", ".join(map(code, names))) for item, names in stacks.items()]


def main(arguments: Sequence[str]) -> int:
    """0: no mandatory rule is broken. 1: one is, or a stack cannot be judged. 2: a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m stacks.commands.policy_summary", description=__doc__)
    parser.add_argument("stacks", nargs="*", metavar="STACK", help="such as prod (default: all of them)")
    names: list[str] = parser.parse_args(arguments).stacks or sorted(
        path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in STACKS.glob("Pulumi.*.yaml")
    )
    judged = {name: judge(name) for name in names}
    print(summary(judged), end="")
    return 1 if any(isinstance(found, str) or found.refused for found in judged.values()) else 0


if __name__ == "__main__":
    # As in the program's own __main__.py.
    gc.disable()
    sys.exit(main(sys.argv[1:]))
