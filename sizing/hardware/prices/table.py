"""Prices of machines as the data files hold them: one file per cloud, rows with region, day and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from sizing.tables import read_data, read_table

DATA = Path(__file__).parent.parent / "data"

MAX_AGE = timedelta(days=45)
"""A price older than this is printed with a warning. Clouds change GPU list prices a few times a year, spot
prices far more often."""


@dataclass(frozen=True)
class Price:
    """Price of one machine type, US dollars per hour for the whole machine.

    on_demand_usd_per_hour: Linux list price. spot_usd_per_hour: last one seen, None where none was; it moves.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    on_demand_usd_per_hour: float
    region: str
    as_of: date
    source: str
    spot_usd_per_hour: float | None = None


def price_file(cloud: str, folder: Path = DATA) -> Path:
    """The file that holds the prices of this cloud."""
    return folder / f"prices.{cloud}.yaml"


def read_prices(cloud: str, folder: Path = DATA) -> Mapping[str, Price]:
    """Prices of the machines of `cloud`, by machine type."""
    return read_table(price_file(cloud, folder), Price)


def read_unpriced(cloud: str, folder: Path = DATA) -> Mapping[str, str]:
    """Machine types of `cloud` that have no price, and the reason."""
    document = read_data(price_file(cloud, folder))
    return TypeAdapter(dict[str, str]).validate_python(document.get("unpriced", {}))


def is_old(as_of: date, today: date) -> bool:
    """Whether a price of that day needs a warning today."""
    return today - as_of > MAX_AGE
