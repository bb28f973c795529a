"""docs/capacity.md names prices and limits: they are those of the tables and of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.priority import ENGINE_PRIORITY, PLACEHOLDER_PRIORITY
from serving.engines.vllm import EXIT_SECONDS
from serving.gateway.errors import WAKE_RETRY_AFTER_SECONDS
from serving.replica import PRE_STOP_SECONDS
from sizing.hardware.machines import machine

HOURS_PER_MONTH = 730
TEXT = " ".join((Path(__file__).parents[2] / "docs" / "capacity.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", ["g6.2xlarge", "g7e.12xlarge", "p5.48xlarge"])
def test_prices(name: str):
    assert f"`{name}`" in TEXT
    assert f"{machine(name).price_per_hour_usd:.2f}" in TEXT


def test_what_idle_gpus_cost():
    large, small = machine("p5.48xlarge"), machine("g6.48xlarge")
    assert f"| {large.price_per_hour_usd * 6 / 8 * HOURS_PER_MONTH:,.0f} of " in TEXT
    assert f"7 GPUs idle for {small.price_per_hour_usd * 7 / 8:.2f} $/h" in TEXT


def test_one_spare_machine_a_month():
    month = machine("g6.2xlarge").price_per_hour_usd * HOURS_PER_MONTH
    assert TEXT.count(f"| {month:.0f} |") == 2
    assert f"{machine('p5.48xlarge').price_per_hour_usd * HOURS_PER_MONTH:,.0f}" in TEXT
    assert str(machine("g6.2xlarge").as_of) in TEXT


def test_waits_and_priorities():
    assert f"`Retry-After: {WAKE_RETRY_AFTER_SECONDS}`" in TEXT
    assert f"still sends to it | {PRE_STOP_SECONDS} |" in TEXT
    assert f"it closes | {EXIT_SECONDS} |" in TEXT
    assert f"at priority {PLACEHOLDER_PRIORITY}" in TEXT
    assert f"(priority {ENGINE_PRIORITY})" in TEXT
