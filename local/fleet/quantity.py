"""Kubernetes resource quantities: `500m`, `2`, `16Gi`, `1e3`."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def parse_quantity(text: str) -> Decimal:
    """The value of a quantity in its base unit (cores, bytes, pieces).

    Raises:
        ValueError: not a quantity.
    """
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            return _number(text.removesuffix(suffix), text) * _SUFFIXES[suffix]
    return _number(text, text)


def divide(quantity: str, divisor: str) -> str:
    """What `resourceFieldRef` exposes: the quantity in units of the divisor, rounded up to a whole number."""
    unit = parse_quantity(divisor)
    if unit == 0:  # the API server writes an unset divisor as "0"
        unit = Decimal(1)
    return str((parse_quantity(quantity) / unit).to_integral_value(rounding=ROUND_CEILING))


def _number(digits: str, text: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise ValueError(
            f"{text!r} is not a quantity; write a number with a suffix such as m, k, Mi or Gi"
        ) from None
