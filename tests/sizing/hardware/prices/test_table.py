from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sizing.hardware.machines import (
    CLOUDS,
    REFERENCE_REGIONS,
    SHAPES,
    SYSTEM_SHAPES,
    UNPRICED,
    Cloud,
    machines_in,
    system_machines_in,
    why_unpriced,
)
from sizing.hardware.prices.table import (
    Price,
    is_old,
    price_file,
    priced_regions,
    read_prices,
    write_prices,
)

READINGS = {
    "us-east-1": [
        {"as_of": "2026-07-20", "source": "a", "on_demand": {"g6.xlarge": 0.8, "g6.2xlarge": 1.0}},
        {
            "as_of": "2026-11-01",
            "source": "b",
            "on_demand": {"p5.48xlarge": 55.04},
            "spot": {"p5.48xlarge": 20},
        },
    ]
}


def test_a_row_has_the_day_and_source_of_its_reading(tmp_path: Path):
    price_file("aws", tmp_path).write_text(json.dumps(READINGS), encoding="utf-8")
    rows = read_prices("aws", "us-east-1", tmp_path)
    assert list(rows) == ["g6.xlarge", "g6.2xlarge", "p5.48xlarge"]
    assert rows["g6.xlarge"] == Price("g6.xlarge", 0.8, "us-east-1", date(2026, 7, 20), "a")
    assert rows["p5.48xlarge"] == Price("p5.48xlarge", 55.04, "us-east-1", date(2026, 11, 1), "b", 20)
    assert read_prices("aws", "eu-central-1", tmp_path) == {}
    assert priced_regions("aws", tmp_path) == ("us-east-1",)


def test_a_misspelt_field_is_refused(tmp_path: Path):
    text = json.dumps(READINGS).replace("on_demand", "ondemand")
    price_file("aws", tmp_path).write_text(text, encoding="utf-8")
    with pytest.raises(ValidationError, match="ondemand"):
        read_prices("aws", "us-east-1", tmp_path)


ROWS = st.builds(
    Price,
    name=st.sampled_from(["a", "b", "c", "d"]),
    on_demand_usd_per_hour=st.integers(1, 10**9).map(lambda millionths: millionths / 1e6),
    region=st.sampled_from(["here", "there"]),
    as_of=st.dates(date(2026, 1, 1), date(2026, 12, 1)),
    source=st.sampled_from(["one", "two"]),
    spot_usd_per_hour=st.none() | st.integers(1, 10**9).map(lambda millionths: millionths / 1e6),
)


@given(rows=st.lists(ROWS, unique_by=lambda row: (row.region, row.name), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(rows: list[Price], tmp_path: Path):
    price_file("aws", tmp_path).unlink(missing_ok=True)
    write_prices("aws", rows, tmp_path)
    read = [
        row
        for region in priced_regions("aws", tmp_path)
        for row in read_prices("aws", region, tmp_path).values()
    ]
    assert {(row.region, row.name): row for row in read} == {(row.region, row.name): row for row in rows}


def test_a_region_that_is_not_written_stays(tmp_path: Path):
    here, there = (Price("a", 1.0, region, date(2026, 1, 1), "s") for region in ("here", "there"))
    write_prices("aws", [here], tmp_path)
    write_prices("aws", [there], tmp_path)
    assert priced_regions("aws", tmp_path) == ("here", "there")


def test_age():
    today = date(2026, 11, 24)
    assert not is_old(today - timedelta(days=45), today)
    assert is_old(today - timedelta(days=46), today)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_price_is_plausible_and_says_where_it_comes_from(cloud: Cloud):
    for region in priced_regions(cloud):
        for row in machines_in(cloud, region).values():
            # Per GPU: a T4 costs half a dollar, a B300 in GovCloud 21. 0 and 700 mean "no price".
            assert 0.4 < row.price_per_hour_usd / row.accelerator_count < 22, (region, row.name)
            if row.spot_price_per_hour_usd is not None:
                assert 0 < row.spot_price_per_hour_usd <= row.price_per_hour_usd, (region, row.name)
            assert row.source
            assert row.region == region
        for row in system_machines_in(cloud, region).values():
            assert 0.02 < row.price_per_hour_usd / row.cpus < 0.1, (region, row.name)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_price_is_of_a_machine_that_is_known(cloud: Cloud):
    known = {*SHAPES, *SYSTEM_SHAPES} - UNPRICED.keys()
    for region in priced_regions(cloud):
        assert read_prices(cloud, region).keys() <= known, region


@pytest.mark.parametrize("cloud", CLOUDS)
def test_regions_differ_and_none_is_far_from_the_reference(cloud: Cloud):
    reference = read_prices(cloud, REFERENCE_REGIONS[cloud])
    for region in priced_regions(cloud):
        for name, row in read_prices(cloud, region).items():
            if name in reference:
                # The dearest is e2 in Dammam (me-central2), 1.6 times that of Iowa.
                assert 0.8 < row.on_demand_usd_per_hour / reference[name].on_demand_usd_per_hour < 1.8, (
                    region,
                    name,
                )


def test_a_machine_without_a_price_has_a_reason():
    assert why_unpriced("g6.2xlarge", "aws", "us-east-1") is None
    assert why_unpriced("m7i.xlarge", "aws", "us-east-1") is None
    assert why_unpriced("g6.2xlarge", "aws", "xx-north-1") == "no prices of xx-north-1 are known"
    assert why_unpriced("g7e.2xlarge", "aws", "us-gov-east-1") == "other machine types have one"
    assert (why_unpriced("a3-highgpu-1g", "gcp", "us-central1") or "").startswith("sold as Spot")
