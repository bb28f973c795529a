"""A catalog in the shape that Google documents, served on loopback; no cloud is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from sizing.hardware.machines import SHAPES
from sizing.hardware.prices.gcp import quotes
from tests.listening import listening


def sku(
    description: str, usd: float, usage: str = "OnDemand", unit: str = "h", region: str = "us-central1"
) -> dict[str, Any]:
    nanos = round(usd * 1e9)
    rate = {
        "startUsageAmount": 0,
        "unitPrice": {"currencyCode": "USD", "units": str(nanos // 10**9), "nanos": nanos % 10**9},
    }
    return {
        "description": description,
        "category": {"resourceFamily": "Compute", "usageType": usage},
        "serviceRegions": [region],
        "pricingInfo": [{"pricingExpression": {"usageUnit": unit, "tieredRates": [rate]}}],
    }


SPOT = "Spot Preemptible "
LIST_PRICES = [
    sku("G2 Instance Core running in Americas", 0.024988),
    sku("G2 Instance Ram running in Americas", 0.002927, unit="GiBy.h"),
    sku("Nvidia L4 GPU running in Americas", 0.56),
    sku(f"{SPOT}G2 Instance Core running in Americas", 0.0075, "Preemptible"),
    sku(f"{SPOT}G2 Instance Ram running in Americas", 0.0009, "Preemptible", unit="GiBy.h"),
    sku("Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas", 0.22, "Preemptible"),
]
NOISE = [
    sku("Commitment v1: Nvidia L4 GPU running in Americas for 1 Year", 0.35),
    sku("Nvidia L4 GPU running in Frankfurt", 0.7, region="europe-west3"),
    sku("G2 Custom Instance Core running in Americas", 0.03),
    sku("SSD backed Local Storage", 0.08, unit="GiBy.mo"),
]


@pytest.fixture
def catalog() -> Iterator[tuple[str, list[list[dict[str, Any]]], list[str]]]:
    """Address of the catalog, its pages (to be filled), and the tokens that it was asked with."""
    pages: list[list[dict[str, Any]]] = []
    tokens: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers["Authorization"])
            asked = parse_qs(urlparse(self.path).query).get("pageToken", ["0"])[0]
            page = int(asked)
            following = str(page + 1) if page + 1 < len(pages) else ""
            body = json.dumps({"skus": pages[page], "nextPageToken": following}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with listening(server):
        yield f"http://127.0.0.1:{server.server_port}", pages, tokens


def test_a_machine_costs_the_sum_of_its_parts(catalog):
    address, pages, tokens = catalog
    pages += [NOISE + LIST_PRICES[:3], LIST_PRICES[3:]]
    found = quotes([SHAPES["g2-standard-8"]], "us-central1", "a-token", address)
    quote = found["g2-standard-8"]
    assert quote.on_demand_usd_per_hour == pytest.approx(0.56 + 8 * 0.024988 + 32 * 0.002927, abs=1e-4)
    assert quote.spot_usd_per_hour == pytest.approx(0.22 + 8 * 0.0075 + 32 * 0.0009, abs=1e-4)
    assert tokens == ["Bearer a-token", "Bearer a-token"]


def test_a_part_that_is_missing_or_ambiguous_gives_no_price(catalog):
    address, pages, _ = catalog
    pages += [LIST_PRICES[:2]]
    assert quotes([SHAPES["g2-standard-8"]], "us-central1", "t", address) == {}
    pages[0] = [*LIST_PRICES, sku("Nvidia L4 GPU running in Iowa", 0.60)]
    assert quotes([SHAPES["g2-standard-8"]], "us-central1", "t", address) == {}


def test_a_machine_with_nvme_of_its_own_is_not_summed_up(catalog):
    address, pages, _ = catalog
    pages += [LIST_PRICES]
    assert quotes([SHAPES["a2-ultragpu-1g"]], "us-central1", "t", address) == {}


def test_prices_of_another_region_do_not_count(catalog):
    address, pages, _ = catalog
    pages += [LIST_PRICES]
    assert quotes([SHAPES["g2-standard-8"]], "europe-west3", "t", address) == {}
