"""Answers in the shape that AWS documents for the two calls; no cloud is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sizing.hardware.prices.aws import quotes
from sizing.hardware.prices.sanity import Quote

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def product(usd: str, unit: str = "Hrs") -> str:
    """One product of GetProducts: a JSON document in a string."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}, "description": f"${usd} per On Demand Linux"}
    return json.dumps(
        {
            "product": {"attributes": {"instanceType": "g6.2xlarge", "operatingSystem": "Linux"}},
            "terms": {
                "OnDemand": {"SKU.JRTCKXETXF": {"priceDimensions": {"SKU.JRTCKXETXF.6YS6": dimension}}}
            },
        }
    )


class Cloud:
    """Stands in for the command line: answers by machine type and keeps what was asked."""

    def __init__(self, products: dict[str, list[str]], spot: list[dict[str, Any]]) -> None:
        self.products = products
        self.spot = spot
        self.asked: list[Sequence[str]] = []

    def run(self, command: Sequence[str]) -> str:
        self.asked.append(command)
        if "describe-spot-price-history" in command:
            return json.dumps({"SpotPriceHistory": self.spot})
        (wanted,) = [part.split("Value=")[1] for part in command if "Field=instanceType" in part]
        return json.dumps({"PriceList": self.products.get(wanted, []), "FormatVersion": "aws_v1"})


def spot(machine: str, zone: str, usd: str) -> dict[str, Any]:
    return {
        "AvailabilityZone": zone, "InstanceType": machine, "ProductDescription": "Linux/UNIX",
        "SpotPrice": usd, "Timestamp": "2026-11-24T07:00:00Z",
    }  # fmt: skip


def test_on_demand_and_the_dearest_zone_of_spot():
    cloud = Cloud(
        {"g6.2xlarge": [product("0.9776000000")]},
        [spot("g6.2xlarge", "us-east-1a", "0.41"), spot("g6.2xlarge", "us-east-1b", "0.52")],
    )
    found = quotes(["g6.2xlarge", "p5e.48xlarge"], "us-east-1", NOW, cloud.run)
    assert found == {"g6.2xlarge": Quote("g6.2xlarge", 0.9776, 0.52)}


def test_a_machine_without_spot_history():
    cloud = Cloud({"p5.48xlarge": [product("55.04")]}, [])
    assert quotes(["p5.48xlarge"], "us-east-1", NOW, cloud.run)["p5.48xlarge"].spot_usd_per_hour is None


def test_only_plain_linux_is_asked_for_and_only_hours_count():
    cloud = Cloud({"g6.2xlarge": [product("0.98"), product("6000", unit="Quantity")]}, [])
    assert quotes(["g6.2xlarge"], "eu-central-1", NOW, cloud.run)["g6.2xlarge"].on_demand_usd_per_hour == 0.98
    asked = " ".join(cloud.asked[-1])
    for part in (
        "regionCode,Value=eu-central-1",
        "Value=Linux",
        "tenancy,Value=Shared",
        "preInstalledSw,Value=NA",
    ):
        assert part in asked
    # The price list answers in a few regions only, whatever region is asked about.
    assert "--region us-east-1" in asked
    assert "--start-time 2026-11-23T08:00:00Z" in " ".join(cloud.asked[0])
