"""A plan as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sizing.cost import Span
from sizing.cost_curve import RATES
from stacks.plan.figures import Plan
from stacks.plan.text import main_price, placement, prices, remarks


def show(plan: Plan, warnings: Sequence[str], console: Console) -> None:
    """Prints the plan as tables, then what tables do not say, then the warnings."""
    console.print(_models(plan))
    console.print(_model_costs(plan))
    console.print(_by_rate(plan))
    console.print(_pools(plan))
    console.print(_environment(plan))
    for line in remarks(plan):
        console.print(line, markup=False, highlight=False)
    console.print(f"Not included: {'; '.join(plan.not_included)}.", markup=False, highlight=False)
    console.print(
        f"At {prices(plan)}. A month has 730 hours. Nothing was asked and nothing was changed.",
        markup=False,
        highlight=False,
    )
    for field in plan.no_effect_yet:
        console.print(str(field), markup=False, highlight=False)
    for warning in warnings:
        console.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False)


def _table(title: str, text: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", pad_edge=False)
    for heading in text:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _add_row(table: Table, *cells: str) -> None:
    """A row of plain text: a name in brackets is no markup, and parsing none takes half the time."""
    table.add_row(*map(Text, cells))


def _models(plan: Plan) -> Table:
    table = _table("Models", ("name", "model", "each replica"), ())
    for model in plan.models:
        _add_row(
            table,
            model.name,
            model.model,
            placement(model),
        )
    return table


def _model_costs(plan: Plan) -> Table:
    table = _table(
        "Replicas, $/h and $ per million tokens: minimum, expected, maximum",
        ("name",),
        (_aligned(("replicas", "min $/h", "exp $/h", "max $/h", "$/M out", "$/M all"), REPLICAS_AND_COSTS),),
    )
    for model in plan.models:
        cells = (
            f"{model.replicas_min} / {model.replicas_expected} / {model.replicas_max}",
            *_dollars(model.usd_per_hour),
            "-" if model.tokens.output_usd is None else f"{model.tokens.output_usd:.2f}",
            f"{model.tokens.total_usd:.2f}",
        )
        _add_row(table, model.name, _aligned(cells, REPLICAS_AND_COSTS))
    return table


def _by_rate(plan: Plan) -> Table:
    """Prices at rates of requests; a rate that the bounds do not carry has none."""
    table = _table(
        "$ per million output tokens by requests/s, alone on the pool",
        ("name",),
        (_aligned([*(f"{rate:g}/s" for rate in RATES), "at most"], PRICES),),
    )
    for model in plan.models:
        prices = (None if at is None else main_price(at.tokens) for _, at in model.by_rate.points)
        shown = ("not reached" if usd is None else f"{usd:.2f}" for usd in prices)
        name = model.name if model.tokens.output_usd is not None else f"{model.name} (all tokens)"
        _add_row(table, name, _aligned([*shown, f"{model.by_rate.most:.1f}/s"], PRICES))
    return table


def _pools(plan: Plan) -> Table:
    table = _table(
        "GPU machines",
        ("pool", "machine"),
        ("each", "machines", "min $/h", "exp $/h", "max $/h"),
    )
    for pool in plan.pools:
        counts = (pool.machines.minimum, pool.machines.expected, pool.machines.maximum)
        _add_row(
            table,
            pool.name,
            pool.machine,
            f"{pool.usd_per_machine_hour:.2f}",
            " / ".join(f"{count:.0f}" for count in counts),
            *_dollars(pool.usd_per_hour),
        )
    return table


def _environment(plan: Plan) -> Table:
    heading = _aligned(("minimum", "expected", "maximum"), BILL)
    table = _table(f"Environment {plan.cluster}, $ per month", ("",), (heading,))
    rows = [
        *((f"model {model.name}", model.usd_per_hour) for model in plan.models),
        ("machines without a replica", plan.unused_usd_per_hour),
        *((cost.label, cost.usd_per_hour) for cost in plan.fixed),
    ]
    for label, usd in rows:
        _add_row(table, label, _aligned(_dollars(usd.per_month, 0), BILL))
    table.add_section()
    _add_row(table, "total", _aligned(_dollars(plan.usd_per_hour.per_month, 0), BILL))
    _add_row(table, "total, per hour", _aligned(_dollars(plan.usd_per_hour, 2), BILL))
    if plan.budget is not None:
        _add_row(table, "budget", _aligned(("-", f"{plan.budget.monthly_usd:.0f}", "-"), BILL))
    return table


REPLICAS_AND_COSTS = (12, 8, 8, 8, 8, 8)
PRICES = (11, 11, 11, 11, 8)
BILL = (8, 8, 8)
"""Widths of numbers that share a cell: a cell for each of them takes longer than the rest of a plan."""


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _dollars(usd: Span, digits: int = 2) -> tuple[str, str, str]:
    return (f"{usd.minimum:.{digits}f}", f"{usd.expected:.{digits}f}", f"{usd.maximum:.{digits}f}")
