from __future__ import annotations

from decimal import Decimal

import pytest

from local.fleet.quantity import divide, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("500m", Decimal("0.5")), ("16Gi", 16 * 2**30), ("1e3", 1000), ("1k", 1000), ("1E", 10**18)],
)
def test_quantities(text: str, value: Decimal | int) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "1.5.0", "many"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("quantity", "divisor", "value"),
    [("1536Mi", "1Gi", "2"), ("250m", "1", "1"), ("250m", "1m", "250"), ("4Gi", "0", str(4 * 2**30))],
)
def test_a_resource_field_is_rounded_up_to_whole_divisors(quantity: str, divisor: str, value: str) -> None:
    assert divide(quantity, divisor) == value
