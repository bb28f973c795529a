"""Two plans side by side, as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TypeVar

from sizing.cost import Span
from stacks.plan.figures import ModelPlan, Plan, PoolPlan
from stacks.plan.judgement import refusals, warnings

Entry = TypeVar("Entry")
Figures = Sequence[Callable[[Entry], str]]


def markdown(title: str, notes: Sequence[str], before: Plan | None, after: Plan, today: date) -> str:
    """The difference; without a plan before it, the plan alone. `notes` say what could not be compared."""
    parts = [
        f"### {title}",
        *notes,
        _summary(before, after),
        _table(
            ("model", "each replica", "replicas", "GPUs", "$/h", "$ per million output tokens"),
            _rows(None if before is None else _models(before), _models(after), MODEL_FIGURES),
        ),
        _table(
            ("pool", "machine", "machines", "GPUs paid for", "$/h"),
            _rows(None if before is None else _pools(before), _pools(after), POOL_FIGURES),
        ),
        _table(
            ("environment", "$/h", "$/month"),
            _rows(None if before is None else _amounts(before), _amounts(after), AMOUNT_FIGURES),
        ),
        _reading(after),
        *(f"**Refused**: `{problem.path}`: {problem.message}" for problem in refusals(after)),
        *_no_effect(before, after),
        *_warnings(before, after, today),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(before: Plan | None, after: Plan) -> str:
    now = after.usd_per_hour.per_month
    if before is None:
        return f"**{now.expected:.0f} $/month** under expected load, at most {now.maximum:.0f}."
    if _figures(before) == _figures(after):
        return "No change in replicas, GPUs or money."
    then = before.usd_per_hour.per_month
    return (
        f"**{now.expected - then.expected:+.0f} $/month** under expected load "
        f"({_change(f'{then.expected:.0f}', f'{now.expected:.0f}')}), "
        f"{now.maximum - then.maximum:+.0f} at most "
        f"({_change(f'{then.maximum:.0f}', f'{now.maximum:.0f}')})."
    )


def _figures(plan: Plan) -> dict[str, object]:
    return {key: value for key, value in plan.exported().items() if key != "no_effect_yet"}


def _triple(span: Span, form: str) -> str:
    return f"{span.minimum:{form}} / {span.expected:{form}} / {span.maximum:{form}}"


MODEL_FIGURES: Figures[ModelPlan] = (
    lambda model: f"{model.tensor_parallel} x {model.accelerator} in {model.machine}",
    lambda model: f"{model.replicas_min} / {model.replicas_expected} / {model.replicas_max}",
    lambda model: _triple(model.gpus, ".0f"),
    lambda model: _triple(model.usd_per_hour, ".2f"),
    lambda model: "-" if model.tokens.output_usd is None else f"{model.tokens.output_usd:.2f}",
)

POOL_FIGURES: Figures[PoolPlan] = (
    lambda pool: pool.machine,
    lambda pool: _triple(pool.machines, ".0f"),
    lambda pool: _triple(pool.machines.times(pool.gpus_per_machine), ".0f"),
    lambda pool: _triple(pool.usd_per_hour, ".2f"),
)

AMOUNT_FIGURES: Figures[Span] = (
    lambda usd: _triple(usd, ".2f"),
    lambda usd: _triple(usd.per_month, ".0f"),
)


def _models(plan: Plan) -> Mapping[str, ModelPlan]:
    return {model.name: model for model in plan.models}


def _pools(plan: Plan) -> Mapping[str, PoolPlan]:
    return {pool.name: pool for pool in plan.pools}


def _amounts(plan: Plan) -> Mapping[str, Span]:
    return {
        "GPU machines": plan.gpu_usd_per_hour,
        **{cost.label: cost.usd_per_hour for cost in plan.fixed},
        "in all": plan.usd_per_hour,
    }


def _rows(
    before: Mapping[str, Entry] | None, after: Mapping[str, Entry], figures: Figures[Entry]
) -> list[list[str]]:
    """One row for each name on either side: what changed with an arrow, what did not as it is."""
    if before is None:
        return [[name, *(figure(entry) for figure in figures)] for name, entry in after.items()]
    rows: list[list[str]] = []
    for name, entry in after.items():
        old = before.get(name)
        if old is None:
            rows.append([f"{name} (new)", *(figure(entry) for figure in figures)])
        else:
            rows.append([name, *(_change(figure(old), figure(entry)) for figure in figures)])
    gone = {name: entry for name, entry in before.items() if name not in after}
    return rows + [
        [f"{name} (removed)", *(f"~~{figure(entry)}~~" for figure in figures)] for name, entry in gone.items()
    ]


def _change(old: str, new: str) -> str:
    return new if old == new else f"{old} → **{new}**"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _reading(plan: Plan) -> str:
    estimated = [model.name for model in plan.models if model.timing == "estimated"]
    timing = f" Step times of {', '.join(estimated)} are estimated." if estimated else ""
    return (
        "Three figures are minimum / expected / maximum; tokens at "
        f"{plan.utilization:.0%} utilization; prices of {plan.prices_as_of.isoformat()} or later.{timing}"
    )


def _no_effect(before: Plan | None, after: Plan) -> list[str]:
    """Fields without effect that the change brings."""
    known = () if before is None else before.no_effect_yet
    new = [field for field in after.no_effect_yet if field not in known]
    return ["\n".join(f"- `{field.path}` has no effect yet: {field.reason}" for field in new)] if new else []


def _warnings(before: Plan | None, after: Plan, today: date) -> list[str]:
    """Those that the change brings; without a plan before it, all of them."""
    known = set() if before is None else set(warnings(before, today))
    new = [warning for warning in warnings(after, today) if warning not in known]
    title = "Warnings:" if before is None else "New warnings:"
    return ["\n".join([title, *(f"- {warning}" for warning in new)])] if new else []
