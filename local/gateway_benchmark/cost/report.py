"""The costs as a document and as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles

from local.gateway_benchmark.cost.slices import Costs, Slices
from local.gateway_benchmark.measure import SHAPES
from local.gateway_benchmark.upstream import Shape

BEGIN = "<!-- measured: written by `make gateway-cost` -->"
END = "<!-- end of what was measured -->"


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over the rounds."""

    median: float
    lower: float
    upper: float


def spread(values: Sequence[float]) -> Spread:
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), lower, upper)


@dataclass(frozen=True)
class Row:
    """One configuration and shape. ratio: to the one it is compared with, round by round.

    difference: microseconds more than that one, round by round.
    """

    name: str
    microseconds: Spread
    ratio: Spread
    difference: Spread


def row(name: str, costs: Costs, beside: Costs, shape: Shape) -> Row:
    pairs = list(zip(costs.microseconds[shape], beside.microseconds[shape], strict=True))
    return Row(
        name,
        spread([mine for mine, _ in pairs]),
        spread([mine / other for mine, other in pairs]),
        spread([mine - other for mine, other in pairs]),
    )


@dataclass(frozen=True)
class Result:
    """base: the other commit. today: what is compared with it. again: today's, a second time.

    without: today's with a part left out, each called as that part.
    """

    base: Costs
    today: Costs
    again: Costs
    without: Sequence[Costs]

    def rows(self, shape: Shape) -> tuple[Row, Row, list[Row]]:
        """today beside base, again beside today, today beside each configuration with a part left out."""
        parts = [row(costs.name, self.today, costs, shape) for costs in self.without]
        today = row(self.today.name, self.today, self.base, shape)
        return today, row(self.again.name, self.again, self.today, shape), parts


def document(result: Result, slices: Slices, date: str, machine: str) -> dict[str, object]:
    shapes: dict[str, object] = {}
    for shape in SHAPES:
        today, again, parts = result.rows(shape)
        shapes[shape] = {
            "base_microseconds": asdict(spread(result.base.microseconds[shape])),
            "today": asdict(today),
            "today_beside_itself": asdict(again),
            "parts": [asdict(part) for part in parts],
        }
    return {"date": date, "machine": machine, "base": result.base.name, "slices": asdict(slices), **shapes}


def markdown(result: Result, slices: Slices, date: str, machine: str) -> str:
    """The part of the page between its two marks."""
    lines = [
        BEGIN,
        f"{date}, {machine}: {slices.rounds} rounds of {slices.requests} requests for each configuration and "
        f"shape, on {slices.connections} connections. Medians over the rounds, quartiles in brackets.",
        "",
        f"| CPU time per request | {result.base.name} | today | today / {result.base.name} | "
        "today beside itself |",
        "|---|---|---|---|---|",
    ]
    parts: list[list[Row]] = []
    for shape in SHAPES:
        today, again, without = result.rows(shape)
        base = spread(result.base.microseconds[shape])
        lines.append(
            f"| {shape} replies | {base.median:.1f} us | {today.microseconds.median:.1f} us | "
            f"**{_ratio(today.ratio)}** | {_ratio(again.ratio)} |"
        )
        parts.append(without)
    if result.without:
        lines += [
            "",
            f"| part of today's configuration | {' | '.join(f'{shape} replies' for shape in SHAPES)} |",
            f"|---|{'---|' * len(SHAPES)}",
        ]
        for of_each_shape in zip(*parts, strict=True):
            cells = (_microseconds(part.difference) for part in of_each_shape)
            lines.append(f"| {of_each_shape[0].name} | {' | '.join(cells)} |")
    return "\n".join([*lines, END])


def _ratio(values: Spread) -> str:
    return f"{values.median:.3f} ({values.lower:.3f} to {values.upper:.3f})"


def _microseconds(values: Spread) -> str:
    return f"{values.median:+.1f} us ({values.lower:+.1f} to {values.upper:+.1f})"


def into_page(page: str, part: str) -> str:
    """The page with its measured part replaced. Raises ValueError where it does not have both marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page must contain the lines {BEGIN!r} and {END!r}")
    return before + part + after
