"""`python -m sizing.hardware.prices.vantage FILE --as-of DAY --source TEXT`: AWS prices of all regions.

Needs no account. FILE is instances.json of instances.vantage.sh (formerly ec2instances.info), 100 MB, which
that site makes from AWS's price list:

    curl --compressed -o instances.json https://instances.vantage.sh/instances.json

On demand, and as spot the dearest zone, because an autoscaler may end up there. Local zones and Wavelength
are left out: node pools are in regions. Read the difference before you commit it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from sizing.hardware.machines import SHAPES, SYSTEM_SHAPES
from sizing.hardware.prices.refresh import RefreshError, renew
from sizing.hardware.prices.sanity import Quote
from sizing.hardware.prices.table import DATA

REGION = re.compile(r"[a-z]+(-[a-z]+)+-\d")
"""us-gov-east-1, not us-west-2-lax-1 (a local zone) or us-east-1-wl1-bos1 (Wavelength)."""

MACHINES = tuple(
    name for shapes in (SHAPES, SYSTEM_SHAPES) for name, shape in shapes.items() if shape.cloud == "aws"
)


class _System(BaseModel):
    """Prices with one operating system, as text."""

    ondemand: float | None = None
    spot_max: float | None = None


class _Region(BaseModel):
    linux: _System = _System()


class _Instance(BaseModel):
    instance_type: str
    pricing: dict[str, _Region]


_INSTANCES = TypeAdapter(list[_Instance])


def quotes_by_region(document: bytes, machines: Collection[str]) -> Mapping[str, dict[str, Quote]]:
    """Quotes of these machine types by region. Raises RefreshError if the file has another form."""
    try:
        instances = _INSTANCES.validate_json(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RefreshError(f"its form has changed: {place}: {first['msg']}") from None
    found: dict[str, dict[str, Quote]] = {}
    for instance in instances:
        name = instance.instance_type
        for region, prices in instance.pricing.items() if name in machines else ():
            if prices.linux.ondemand and REGION.fullmatch(region):
                quote = Quote(name, prices.linux.ondemand, prices.linux.spot_max or None)
                found.setdefault(region, {})[name] = quote
    return found


def main(arguments: list[str], folder: Path = DATA) -> int:
    """Exit status: 0, or 1 if nothing was changed."""
    parser = argparse.ArgumentParser(prog="python -m sizing.hardware.prices.vantage", description=__doc__)
    parser.add_argument("file", type=Path, help="instances.json")
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="day of the file")
    parser.add_argument("--source", required=True, help="where the file comes from, for whoever doubts it")
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=MACHINES, help="only these")
    options = parser.parse_args(arguments)
    try:
        regions = quotes_by_region(options.file.read_bytes(), options.machines)
    except (RefreshError, OSError) as error:
        print(f"aws: nothing was changed: {error}", file=sys.stderr)
        return 1
    if not regions:
        print("aws: nothing was changed: the file has none of these machine types", file=sys.stderr)
        return 1
    for region, quotes in sorted(regions.items()):
        doubts = renew("aws", quotes, region, options.source, options.as_of, folder)
        print(f"aws: {len(quotes) - len(doubts)} prices of {region}; rows of a later day stay")
        for doubt in doubts:
            print(f"aws: {region}: {doubt.machine} not taken over: {doubt.reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
