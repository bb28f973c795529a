from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.hardware.prices.sanity import Quote, doubt, sort_out
from sizing.hardware.prices.table import Price


def price(usd: float) -> Price:
    return Price("g6.2xlarge", usd, "us-east-1", date(2026, 7, 20), "test")


@pytest.mark.parametrize(
    ("on_demand", "spot", "reason"),
    [
        (1.0, None, None),
        (1.0, 1.0, None),
        (1.4, 0.3, None),
        (0.6, None, None),
        (1.41, None, "+41% of 1 $/h"),
        (0.59, None, "-41% of 1 $/h"),
        (0.0, None, "0 $/h stands for no price"),
        (700.0, None, "700 $/h stands for no price"),
        (1.0, 0.0, "0 $/h as spot stands for no price"),
        (1.0, 1.01, "spot 1.01 $/h is above on-demand 1 $/h"),
    ],
)
def test_which_quotes_are_believed(on_demand: float, spot: float | None, reason: str | None):
    found = doubt(Quote("g6.2xlarge", on_demand, spot), price(1.0))
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found.reason


def test_a_new_machine_has_no_previous_price_to_be_measured_against():
    assert doubt(Quote("g9.xlarge", 5.0, None), None) is None


@given(
    quotes=st.dictionaries(st.text(min_size=1), st.floats(0, 1000), max_size=10),
    previous=st.floats(0.1, 100),
)
def test_every_quote_is_either_believed_or_doubted(quotes: dict[str, float], previous: float):
    made = {name: Quote(name, usd, None) for name, usd in quotes.items()}
    believed, doubts = sort_out(made, {name: price(previous) for name in made})
    assert believed.keys() | {found.machine for found in doubts} == made.keys()
    assert len(believed) + len(doubts) == len(made)
    for quote in believed.values():
        assert 0.6 * previous <= quote.on_demand_usd_per_hour * 1.0000001
        assert quote.on_demand_usd_per_hour <= 1.4 * previous * 1.0000001
