"""Which new prices are believed: catalogues hold sentinels, parts and discounts that look like prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sizing.hardware.prices.table import Price

MOST_CHANGE = 0.40
"""A list price of a GPU machine has never moved further between two readings; a larger step is another SKU
(a commitment, a part of the machine, another currency)."""

SENTINELS = (0.0, 700.0)
"""What catalogues put where they have no price: 0.0 and 700.0 were seen."""


@dataclass(frozen=True)
class Quote:
    """What a cloud answered for one machine type, US dollars per hour for the whole machine."""

    machine: str
    on_demand_usd_per_hour: float
    spot_usd_per_hour: float | None


@dataclass(frozen=True)
class Doubt:
    """A quote that was not taken over, and why."""

    machine: str
    reason: str


def doubt(quote: Quote, previous: Price | None) -> Doubt | None:
    """Why this quote is not believed, or None."""
    new, spot = quote.on_demand_usd_per_hour, quote.spot_usd_per_hour
    if new in SENTINELS or new < 0:
        return Doubt(quote.machine, f"{new:g} $/h stands for no price")
    if spot is not None and (spot in SENTINELS or spot < 0):
        return Doubt(quote.machine, f"{spot:g} $/h as spot stands for no price")
    if spot is not None and spot > new:
        return Doubt(quote.machine, f"spot {spot:g} $/h is above on-demand {new:g} $/h")
    if previous is not None:
        change = new / previous.on_demand_usd_per_hour - 1
        if abs(change) > MOST_CHANGE:
            return Doubt(
                quote.machine,
                f"{new:g} $/h is {change:+.0%} of {previous.on_demand_usd_per_hour:g} $/h: if it is right, "
                "change the row by hand",
            )
    return None


def sort_out(
    quotes: Mapping[str, Quote], previous: Mapping[str, Price]
) -> tuple[dict[str, Quote], list[Doubt]]:
    """The quotes that are believed, and the doubts about the others."""
    doubts = {name: doubt(quote, previous.get(name)) for name, quote in quotes.items()}
    believed = {name: quote for name, quote in quotes.items() if doubts[name] is None}
    return believed, [found for found in doubts.values() if found is not None]
