"""Renews the price files from what the clouds answer, row by row; what is doubtful stays as it was."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from sizing.hardware.prices.sanity import Doubt, Quote, sort_out
from sizing.hardware.prices.table import DATA, Price, read_prices, write_prices


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
    cloud: str, quotes: Mapping[str, Quote], region: str, source: str, as_of: date, folder: Path = DATA
) -> list[Doubt]:
    """Writes the prices of `region`: believed quotes as rows of that day, all other rows as they were.

    A row that is of a later day stays. Returns the doubts.
    """
    previous = read_prices(cloud, region, folder)
    believed, doubts = sort_out(quotes, previous)
    renewed = {
        name: Price(
            name=name,
            on_demand_usd_per_hour=quote.on_demand_usd_per_hour,
            spot_usd_per_hour=quote.spot_usd_per_hour,
            region=region,
            as_of=as_of,
            source=source,
        )
        for name, quote in believed.items()
        if name not in previous or previous[name].as_of <= as_of
    }
    write_prices(cloud, {**previous, **renewed}.values(), folder)
    return doubts
