"""Prices of machines as the data files hold them: one file per cloud, with regions, days and sources.

data/prices.<cloud>.json maps each region to its readings. A reading is what one source said on one day:

    {"as_of": "2026-07-20", "source": "...", "on_demand": {"g6.xlarge": 0.8048}, "spot": {"g6.xlarge": 0.31}}

`spot` may be left out. No machine is in two readings of a region. JSON, because 1,000 prices in YAML
take longer to read than the rest of a plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

DATA = Path(__file__).parent.parent / "data"

MAX_AGE = timedelta(days=45)
"""A price older than this is printed with a warning. Clouds change GPU list prices a few times a year, spot
prices far more often."""

FINEST_USD = 6
"""Decimals that are kept: a millionth of a dollar per hour is less than a cent in a year."""


@dataclass(frozen=True)
class Price:
    """Price of one machine type in one region, US dollars per hour for the whole machine.

    on_demand_usd_per_hour: Linux list price. spot_usd_per_hour: last one seen, None where none was; it moves.
    """

    name: str
    on_demand_usd_per_hour: float
    region: str
    as_of: date
    source: str
    spot_usd_per_hour: float | None = None


@dataclass(frozen=True)
class _Reading:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    as_of: date
    source: str
    on_demand: dict[str, float]
    spot: dict[str, float] | None = None


_REGIONS = TypeAdapter(dict[str, list[_Reading]])


def price_file(cloud: str, folder: Path = DATA) -> Path:
    """The file that holds the prices of this cloud."""
    return folder / f"prices.{cloud}.json"


def priced_regions(cloud: str, folder: Path = DATA) -> tuple[str, ...]:
    """Regions of `cloud` in which the price of some machine is known, in the order of the file."""
    return tuple(_regions(price_file(cloud, folder)))


def read_prices(cloud: str, region: str, folder: Path = DATA) -> Mapping[str, Price]:
    """Prices of the machines of `cloud` in `region`, by machine type; none where the region is not known."""
    return _regions(price_file(cloud, folder)).get(region, {})


def write_prices(cloud: str, rows: Iterable[Price], folder: Path = DATA) -> None:
    """Writes the prices of `cloud`: regions that `rows` do not name stay as they were."""
    path = price_file(cloud, folder)
    regions = dict(_regions(path)) if path.exists() else {}
    by_region: dict[str, dict[str, Price]] = {}
    for row in rows:
        by_region.setdefault(row.region, {})[row.name] = row
    regions.update(by_region)
    document = {region: _readings(regions[region].values()) for region in sorted(regions)}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _regions.cache_clear()


def is_old(as_of: date, today: date) -> bool:
    """Whether a price of that day needs a warning today."""
    return today - as_of > MAX_AGE


@cache
def _regions(path: Path) -> Mapping[str, Mapping[str, Price]]:
    """Raises pydantic.ValidationError on a misspelt or mistyped field: that is a bug of the checkout."""
    document = _REGIONS.validate_json(path.read_bytes())
    return {region: MappingProxyType(_rows(region, readings)) for region, readings in document.items()}


def _rows(region: str, readings: Iterable[_Reading]) -> dict[str, Price]:
    rows: dict[str, Price] = {}
    for reading in readings:
        spot = reading.spot or {}
        for name, usd in reading.on_demand.items():
            rows[name] = Price(name, usd, region, reading.as_of, reading.source, spot.get(name))
    return rows


def _readings(rows: Iterable[Price]) -> list[dict[str, object]]:
    def reading(row: Price) -> tuple[str, str]:
        return row.as_of.isoformat(), row.source

    found: list[dict[str, object]] = []
    for (as_of, source), same in groupby(sorted(rows, key=reading), key=reading):
        group = list(same)
        prices = {row.name: round(row.on_demand_usd_per_hour, FINEST_USD) for row in group}
        spot = {
            row.name: round(row.spot_usd_per_hour, FINEST_USD)
            for row in group
            if row.spot_usd_per_hour is not None
        }
        found.append(
            {"as_of": as_of, "source": source, "on_demand": prices, **({"spot": spot} if spot else {})}
        )
    return found
