"""Prices of Google Cloud machines, asked of the Cloud Billing Catalog with the caller's own token.

Google has no price of a machine, only of its parts: vCPUs, GiB of memory, GPUs and local SSD, each a SKU with
a text that names the machine family. `gcloud auth print-access-token` gives the token.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sizing.hardware.machines import MachineShape
from sizing.hardware.prices.sanity import Quote

CATALOG = "https://cloudbilling.googleapis.com"
COMPUTE_ENGINE = "6F81-5844-456A"
"""Service id of Compute Engine in the catalog."""

SOURCE = "Google Cloud Billing Catalog API"
TIMEOUT_SECONDS = 30
MOST_PAGES = 50
"""Compute Engine has about 30 pages of 5000 SKUs; more means that the catalog does not end."""

GPU_SKUS = {
    "nvidia-l4": "Nvidia L4 GPU",
    "nvidia-a100-40gb": "Nvidia Tesla A100 GPU",
    "nvidia-rtx-pro-6000-96gb": "RTX 6000 96GB",
}
"""How the catalog's texts name an accelerator (Cyclenerd/google-cloud-pricing-cost-calculator, mapping.csv).
Only those on machines without NVMe of their own, whose share in a machine's price no SKU tells."""

NOT_LIST_PRICES = re.compile(
    "Commitment|Reserved|DWS|Calendar|Flex|Custom|Sole Tenancy|Confidential", re.IGNORECASE
)
"""Words of SKUs that are discounts or surcharges. Taking them for list prices is how catalogues go wrong."""


@dataclass(frozen=True)
class Sku:
    """One part that is sold: its text, whether as spot, and US dollars per hour and unit."""

    description: str
    usage: str
    usd: float


def quotes(
    shapes: Iterable[MachineShape], region: str, token: str, catalog: str = CATALOG
) -> dict[str, Quote]:
    """What Google asks for these machine types in `region`; one with a part that has no SKU is absent."""
    skus = list(_skus(region, token, catalog))
    found: dict[str, Quote] = {}
    for shape in shapes:
        price = machine_usd(shape, skus, "OnDemand")
        if price is not None:
            found[shape.name] = Quote(shape.name, price, machine_usd(shape, skus, "Preemptible"))
    return found


def machine_usd(shape: MachineShape, skus: Sequence[Sku], usage: str) -> float | None:
    """The sum of the parts, or None if one of them has no SKU of its own or several that differ."""
    if shape.local_disk_gb > 0 or shape.accelerator not in GPU_SKUS:
        return None
    family = shape.name.split("-")[0].upper()
    # As spot, a GPU's text says so in the middle, the others at their start.
    parts = [
        (f"(Spot Preemptible )?{family} Instance Core running", shape.cpus),
        (f"(Spot Preemptible )?{family} Instance Ram running", shape.memory_gib),
        (
            f"{GPU_SKUS[shape.accelerator]} (attached to Spot Preemptible VMs )?running",
            shape.accelerator_count,
        ),
    ]
    total = 0.0
    for pattern, amount in parts:
        price = _unit_usd(pattern, skus, usage)
        if price is None:
            return None
        total += price * amount
    return round(total, 4)


def _unit_usd(pattern: str, skus: Sequence[Sku], usage: str) -> float | None:
    text = re.compile(pattern, re.IGNORECASE)
    prices = {sku.usd for sku in skus if sku.usage == usage and text.match(sku.description)}
    return prices.pop() if len(prices) == 1 else None


def _skus(region: str, token: str, catalog: str) -> Iterator[Sku]:
    page = ""
    for _ in range(MOST_PAGES):
        url = f"{catalog}/v1/services/{COMPUTE_ENGINE}/skus?pageSize=5000&pageToken={quote(page)}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            document = json.load(answer)
        for entry in document.get("skus", []):
            if region in entry["serviceRegions"] and not NOT_LIST_PRICES.search(entry["description"]):
                yield from _hourly(entry)
        page = document.get("nextPageToken", "")
        if not page:
            return
    raise ValueError(f"the catalog did not end after {MOST_PAGES} pages")


def _hourly(entry: dict[str, Any]) -> Iterator[Sku]:
    for pricing in entry["pricingInfo"]:
        expression = pricing["pricingExpression"]
        # Units are hours, GiB-hours and, for disks, GiB-months.
        if expression["usageUnit"] not in ("h", "GiBy.h"):
            continue
        for rate in expression["tieredRates"]:
            price = rate["unitPrice"]
            usd = int(price.get("units", 0)) + price.get("nanos", 0) / 1e9
            if price.get("currencyCode", "USD") == "USD" and usd > 0:
                yield Sku(entry["description"], entry["category"]["usageType"], usd)
