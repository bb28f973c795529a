"""Two plans of a stack side by side, as Markdown for a pull request: the verdict first, then what changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Literal, TypeVar

from stacks.plan.change import Change
from stacks.plan.coming_and_going import Planned, coming_and_going, renamed_models
from stacks.plan.field_changes import field_changes
from stacks.plan.figure_changes import AMOUNT_FIGURES, MODEL_FIGURES, POOL_FIGURES, Figure, figure_changes
from stacks.plan.figures import ModelPlan, Plan, PoolPlan
from stacks.plan.judgement import refusals, warnings
from stacks.plan.markdown import bullets, code, table
from stacks.problems import Problem, StackError

Entry = TypeVar("Entry", ModelPlan, PoolPlan)


Side = Planned | StackError | None
"""A stack on one side: planned, with what stands in the way of that, or without a file."""

Kind = Literal["broken", "refused", "loss", "change", "new", "deleted", "unchanged"]

ORDER: tuple[Kind, ...] = ("broken", "refused", "loss", "change", "new", "deleted", "unchanged")
"""What a reviewer must see comes first."""

FIGURES = {figure.what for known in (MODEL_FIGURES, POOL_FIGURES, AMOUNT_FIGURES) for figure in known}

SAID_IN_VERDICT = 4
"""What still fits three lines of a summary."""


@dataclass(frozen=True)
class Verdict:
    """On one stack. line: for the top of a summary. details: Markdown for below, empty without any."""

    stack: str
    kind: Kind
    line: str
    details: str

    @property
    def failed(self) -> bool:
        return self.kind in ("broken", "refused")


def summary(verdicts: Sequence[Verdict], base: str, notes: Sequence[str]) -> str:
    """All of it. notes: Markdown about every stack."""
    ranked = sorted(verdicts, key=lambda verdict: ORDER.index(verdict.kind))
    changed = [verdict for verdict in ranked if verdict.kind != "unchanged"]
    same = [code(verdict.stack) for verdict in ranked if verdict.kind == "unchanged"]
    lines = [verdict.line for verdict in changed]
    if same:
        lines.append(f"{', '.join(same)}: unchanged, no field and no figure")
    parts = [bullets(lines), *notes]
    parts += [f"#### {code(verdict.stack)}\n\n{verdict.details}" for verdict in changed if verdict.details]
    reading = " Three figures are minimum / expected / maximum." if changed else ""
    parts.append(f"Compared with {code(_short(base))}; both sides are planned by this checkout.{reading}")
    return "\n\n".join(parts) + "\n"


def _short(revision: str) -> str:
    """A commit by its first twelve digits, as git shows it; a branch as it is."""
    return revision[:12] if re.fullmatch(r"[0-9a-f]{40}", revision) else revision


def verdict(name: str, before: Side, after: Side, today: date) -> Verdict:
    """What becomes of the stack `name`."""
    if after is None:
        return _deleted(name)
    if isinstance(after, StackError):
        return _broken(name, before, after)
    if not isinstance(before, Planned):
        return _alone(name, before, after, today)
    return _compared(name, before, after, today)


def _deleted(name: str) -> Verdict:
    line = f"**{code(name)}: deleted**. What runs stays until `pulumi destroy`, which needs the file"
    return Verdict(name, "deleted", line, "")


def _broken(name: str, before: Side, after: StackError) -> Verdict:
    count = len(after.problems)
    more = "" if count == 1 else f" and {count - 1} more"
    line = f"**{code(name)}: cannot be planned**: {code(after.problems[0])}{more}"
    parts = [] if count == 1 else [bullets([code(problem) for problem in after.problems])]
    if isinstance(before, StackError):
        known = {str(problem) for problem in before.problems}
        same = all(str(problem) in known for problem in after.problems)
        parts.append(f"The base cannot be planned either{', for the same reasons' if same else ''}.")
    return Verdict(name, "broken", line, "\n\n".join(parts))


def _alone(name: str, before: StackError | None, after: Planned, today: date) -> Verdict:
    """Without a plan to compare with."""
    month, problems = after.plan.usd_per_hour.per_month, refusals(after.plan)
    origin = "new" if before is None else "not compared, the base cannot be planned"
    cost = f"{month.expected:.0f} $/month under expected load, at most {month.maximum:.0f}"
    parts = [
        *_in_the_way(before),
        _columns("model", after.plan.models, MODEL_FIGURES),
        _columns("pool", after.plan.pools, POOL_FIGURES),
        *_warnings((), warnings(after.plan, today)),
    ]
    line = f"**{code(name)}: {origin}**, {cost}"
    if problems:
        line = f"**{code(name)}: refused**: {code(problems[0])} ({origin}, {cost})"
    return Verdict(name, "refused" if problems else "new", line, "\n\n".join(parts))


def _in_the_way(before: StackError | None) -> list[str]:
    if before is None:
        return []
    listed = bullets([code(problem) for problem in before.problems])
    return [f"What stands in the way of a plan of the base, by today's rules:\n\n{listed}"]


def _compared(name: str, before: Planned, after: Planned, today: date) -> Verdict:
    renamed = renamed_models(before.stack, after.stack)
    fields = field_changes(before.stack, after.stack, renamed)
    computed = figure_changes(before.plan, after.plan, renamed)
    lost, others = coming_and_going(before, after, renamed)
    old_warnings = [_under_new_name(warning, renamed) for warning in warnings(before.plan, today)]
    new_warnings = warnings(after.plan, today)
    problems = refusals(after.plan)
    losses = [*lost, *_losses([*fields, *computed])]
    is_changed = bool(fields or computed or losses or others or old_warnings != new_warnings)
    if not is_changed and not problems:
        return Verdict(name, "unchanged", f"{code(name)}: unchanged", "")
    parts = [
        *([bullets([*lost, *others])] if lost or others else []),
        *_changes("in the stack file", fields),
        *_changes("what follows", computed),
        *_new(before.plan, after.plan, renamed),
        *_warnings(old_warnings, new_warnings),
    ]
    money = _money(before.plan, after.plan)
    listed = _listed([*losses, *others, *_other_weights(fields), *_count(old_warnings, new_warnings)])
    line = f"**{code(name)}: {money}**{listed}"
    kind: Kind = "loss" if losses else "change"
    if problems:
        known = refusals(before.plan)
        line = _refused(name, problems[0], known) + f"; {money if is_changed else 'unchanged'}{listed}"
        kind = "refused"
    return Verdict(name, kind, line, "\n\n".join(parts))


def _refused(name: str, problem: Problem, known: Sequence[Problem]) -> str:
    as_before = ", as at the base" if problem in known else ""
    return f"**{code(name)}: refused{as_before}**: {code(problem)}"


def _money(before: Plan, after: Plan) -> str:
    then, now = before.usd_per_hour.per_month, after.usd_per_hour.per_month
    expected, most = round(now.expected - then.expected), round(now.maximum - then.maximum)
    if expected == 0 and most == 0:
        return "±0 $/month"
    limit = "" if most == 0 else f" (at most {most:+d})"
    change = "±0" if expected == 0 else f"{expected:+d}"
    return f"{change} $/month{limit}"


def _listed(said: Sequence[str]) -> str:
    """What stands behind a verdict, the first few in full."""
    shown = list(said[:SAID_IN_VERDICT])
    if len(said) > len(shown):
        shown.append(f"{len(said) - len(shown)} more, below")
    return "".join(f"; {part}" for part in shown)


OTHER_WEIGHTS = ("model", "revision", "canary.revision", "quantization", "engine", "weights")
"""Fields by which the same name answers differently, without being a loss in any figure."""


def _other_weights(fields: Sequence[Change]) -> list[str]:
    return [
        f"{code(change.subject)} has another {change.what}"
        for change in fields
        if change.what in OTHER_WEIGHTS and "-" not in (change.before, change.after)
    ]


def _under_new_name(warning: str, renamed: Mapping[str, str]) -> str:
    """The warning with the new name of the model that it begins with."""
    subject, colon, rest = warning.partition(":")
    return f"{renamed.get(subject, subject)}{colon}{rest}"


def _count(before: Sequence[str], after: Sequence[str]) -> list[str]:
    new = sum(warning not in before for warning in after)
    return [f"{new} new warning{'s' if new > 1 else ''}"] if new else []


def _losses(changes: Sequence[Change]) -> list[str]:
    """One sentence for each model or section that loses something."""
    lost = sorted((change for change in changes if change.effect == "loss"), key=lambda one: one.subject)
    return [
        f"{code(subject)} loses "
        + ", ".join(f"{_what(one.what)} ({_value(one.before)} → {_value(one.after)})" for one in group)
        for subject, group in groupby(lost, key=lambda one: one.subject)
    ]


def _new(before: Plan, after: Plan, renamed: Mapping[str, str]) -> list[str]:
    """Figures of models and pools that the base does not have."""
    known = {renamed.get(model.name, model.name) for model in before.models}
    pools = {pool.name for pool in before.pools}
    models = [model for model in after.models if model.name not in known]
    added = [pool for pool in after.pools if pool.name not in pools]
    return [
        *([_columns("new model", models, MODEL_FIGURES)] if models else []),
        *([_columns("new pool", added, POOL_FIGURES)] if added else []),
    ]


def _columns(title: str, entries: Sequence[Entry], known: Sequence[Figure[Entry]]) -> str:
    """All figures, a column for each model or pool."""
    names = [code(entry.name) for entry in entries]
    rows = [[figure.what, *(_value(figure.shown(entry)) for entry in entries)] for figure in known]
    return table((title, *names), rows)


def _changes(title: str, changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    rows = [
        [
            f"{code(change.subject)} {_what(change.what)}",
            _value(change.before),
            _value(change.after),
            f"**{change.effect}**" if change.effect == "loss" else change.effect,
        ]
        for change in changes
    ]
    return [table((title, "base", "now", ""), rows)]


def _what(text: str) -> str:
    """Names of figures are ours; paths of fields may hold keys that the file chooses."""
    return text if text in FIGURES else code(text)


def _value(text: str) -> str:
    return text if re.fullmatch(r"[-+0-9./ ]+", text) else code(text)


def _warnings(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Those that the change brings and takes away; of those that stay, the number."""
    lines = [
        *(f"New warning: {code(warning)}" for warning in after if warning not in before),
        *(f"No longer: {code(warning)}" for warning in before if warning not in after),
    ]
    stay = sum(warning in before for warning in after)
    if stay:
        lines.append(f"{stay} warning{'s' if stay > 1 else ''} as before, in `make plan`")
    return [bullets(lines)] if lines else []
