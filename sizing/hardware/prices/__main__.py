"""`python -m sizing.hardware.prices [--cloud aws|gcp] [--region NAME]`: renews data/prices.<cloud>.json.

Asks the clouds' own price lists with your credentials (`aws`, `gcloud`). Nothing is bought or changed there.
Read the difference before you commit it. Without an account: `python -m sizing.hardware.prices.karpenter`.
"""

from __future__ import annotations

import argparse
import sys
import urllib.error
from datetime import UTC, datetime

from sizing.hardware.machines import CLOUDS, REFERENCE_REGIONS, SHAPES, SYSTEM_SHAPES, Cloud
from sizing.hardware.prices import aws, gcp
from sizing.hardware.prices.refresh import RefreshError, renew, run
from sizing.hardware.prices.sanity import Quote
from sizing.hardware.prices.table import price_file


def main(arguments: list[str]) -> int:
    """Exit status: 0 if every cloud answered, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m sizing.hardware.prices", description=__doc__)
    parser.add_argument("--cloud", choices=CLOUDS, help="only this one (default: all)")
    parser.add_argument("--region", help="region to ask for, with --cloud (default: us-east-1, us-central1)")
    options = parser.parse_args(arguments)
    if options.region is not None and options.cloud is None:
        parser.error("--region needs --cloud: regions have other names elsewhere")
    clouds: tuple[Cloud, ...] = CLOUDS if options.cloud is None else (options.cloud,)
    outcomes = [_renew(cloud, options.region or REFERENCE_REGIONS[cloud]) for cloud in clouds]
    return 0 if all(outcomes) else 1


def _renew(cloud: Cloud, region: str) -> bool:
    now = datetime.now(UTC)
    source = aws.SOURCE if cloud == "aws" else gcp.SOURCE
    try:
        quotes = _quotes(cloud, region, now)
    except (RefreshError, urllib.error.URLError, ValueError, KeyError) as error:
        print(f"{cloud}: nothing was changed: {error}", file=sys.stderr)
        return False
    if not quotes:
        print(f"{cloud}: nothing was changed: no machine has a price in {region}", file=sys.stderr)
        return False
    doubts = renew(cloud, quotes, region, source, now.date())
    print(f"{cloud}: {len(quotes) - len(doubts)} prices of {region} in {price_file(cloud).name}")
    for doubt in doubts:
        print(f"{cloud}: {doubt.machine} not taken over: {doubt.reason}")
    return True


def _quotes(cloud: Cloud, region: str, now: datetime) -> dict[str, Quote]:
    shapes = [shape for shape in SHAPES.values() if shape.cloud == cloud]
    if cloud == "aws":
        system = [shape.name for shape in SYSTEM_SHAPES.values() if shape.cloud == cloud]
        return aws.quotes([*(shape.name for shape in shapes), *system], region, now, run)
    token = run(["gcloud", "auth", "print-access-token"]).strip()
    return gcp.quotes(shapes, region, token)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
