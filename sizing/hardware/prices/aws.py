"""Prices of AWS machines, asked of AWS with its own command line and the caller's credentials.

On demand: Price List Query API, `aws pricing get-products` (permission pricing:GetProducts). Spot: `aws ec2
describe-spot-price-history` (ec2:DescribeSpotPriceHistory); the dearest zone of the last day counts, because
an autoscaler may end up there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sizing.hardware.prices.sanity import Quote

Run = Callable[[Sequence[str]], str]
"""Runs a command and gives what it prints; raises sizing.hardware.prices.refresh.RefreshError if it fails."""

PRICE_LIST_REGION = "us-east-1"
"""The Price List Query API exists in a few regions only; it answers for all of them."""

SOURCE = "AWS Price List Query API"

PLAIN_LINUX = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
"""Without these the same machine has dozens of products: Windows, dedicated hosts, unused reservations."""


def quotes(machines: Iterable[str], region: str, now: datetime, run: Run) -> dict[str, Quote]:
    """What AWS asks for these machine types in `region`; one that is not sold there is absent."""
    wanted = list(machines)
    spot = _spot_prices(wanted, region, now, run)
    found: dict[str, Quote] = {}
    for name in wanted:
        price = _on_demand(name, region, run)
        if price is not None:
            found[name] = Quote(name, price, spot.get(name))
    return found


def _on_demand(machine: str, region: str, run: Run) -> float | None:
    filters = {"instanceType": machine, "regionCode": region, **PLAIN_LINUX}
    answer = run(
        [
            *("aws", "pricing", "get-products", "--service-code", "AmazonEC2"),
            *("--region", PRICE_LIST_REGION, "--output", "json", "--filters"),
            *(f"Type=TERM_MATCH,Field={field},Value={value}" for field, value in filters.items()),
        ]
    )
    # Each product is a JSON document in a string.
    products = [json.loads(text) for text in json.loads(answer)["PriceList"]]
    prices = {price for product in products for price in _hourly(product)}
    return max(prices) if prices else None


def _hourly(product: dict[str, Any]) -> Iterable[float]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if dimension["unit"] == "Hrs" and "USD" in dimension["pricePerUnit"]:
                yield float(dimension["pricePerUnit"]["USD"])


def _spot_prices(machines: Sequence[str], region: str, now: datetime, run: Run) -> dict[str, float]:
    since = (now.astimezone(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = run(
        [
            *("aws", "ec2", "describe-spot-price-history", "--region", region, "--output", "json"),
            *("--product-descriptions", "Linux/UNIX", "--start-time", since, "--instance-types", *machines),
        ]
    )
    highest: dict[str, float] = {}
    for entry in json.loads(answer)["SpotPriceHistory"]:
        name, price = entry["InstanceType"], float(entry["SpotPrice"])
        highest[name] = max(price, highest.get(name, 0.0))
    return highest
