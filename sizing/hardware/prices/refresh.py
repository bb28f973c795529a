"""Renews the price files from what the clouds answer, row by row; what is doubtful stays as it was."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from sizing.hardware.prices.sanity import Doubt, Quote, sort_out
from sizing.hardware.prices.table import DATA, Price, price_file, read_prices, read_unpriced


class RefreshError(Exception):
    """A cloud could not be asked; the message says what to do."""


TIMEOUT_SECONDS = 120
"""Of one call of a cloud's command line. The spot history of forty machine types takes the longest."""


def run(command: Sequence[str]) -> str:
    """What a command prints. Raises RefreshError if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    except FileNotFoundError:
        raise RefreshError(
            f"{command[0]} is not installed: prices are asked with the cloud's own command line"
        ) from None
    except subprocess.TimeoutExpired:
        raise RefreshError(f"{' '.join(command[:3])} did not answer within {TIMEOUT_SECONDS} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().partition("\n")[0]
        raise RefreshError(f"{' '.join(command[:3])} failed: {said or 'without a word'}")
    return done.stdout


def renew(
    cloud: str, quotes: Mapping[str, Quote], region: str, source: str, today: date, folder: Path = DATA
) -> list[Doubt]:
    """Writes the price file of `cloud`: believed quotes as rows of today, all other rows as they were.

    A file has one region. Asked for another, it keeps no row of the old one, and quotes are not measured
    against it: regions differ by up to two thirds. Returns the doubts.
    """
    previous = read_prices(cloud, folder)
    kept = {name: row for name, row in previous.items() if row.region == region}
    believed, doubts = sort_out(quotes, kept)
    renewed = {
        name: Price(
            name=name,
            on_demand_usd_per_hour=quote.on_demand_usd_per_hour,
            spot_usd_per_hour=quote.spot_usd_per_hour,
            region=region,
            as_of=today,
            source=source,
        )
        for name, quote in believed.items()
    }
    unpriced = dict(read_unpriced(cloud, folder))
    rows = {**kept, **renewed}
    for name in previous:
        if name not in rows:
            unpriced[name] = f"no price in {region}"
    for name in renewed:
        unpriced.pop(name, None)
    price_file(cloud, folder).write_text(_rendered(cloud, rows, unpriced), encoding="utf-8")
    return doubts


def _rendered(cloud: str, rows: Mapping[str, Price], unpriced: Mapping[str, str]) -> str:
    lines = [
        f"# Prices of machines of {cloud}, dollars per hour for the whole machine, Linux.",
        "# Written by `make refresh-prices`. A machine under `unpriced` has no price that can be trusted: to",
        "# use one, give its price under price_overrides.",
        "rows:",
    ]
    for name, row in rows.items():
        spot = "" if row.spot_usd_per_hour is None else f", spot_usd_per_hour: {row.spot_usd_per_hour:g}"
        lines += [
            f"  {name}:",
            f"    {{on_demand_usd_per_hour: {row.on_demand_usd_per_hour:.9g}{spot}, region: {row.region},",
            f"     as_of: {row.as_of.isoformat()}, source: {_quoted(row.source)}}}",
        ]
    if unpriced:
        lines += ["unpriced:", *(f"  {name}: {_quoted(reason)}" for name, reason in unpriced.items())]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
