"""Documents in the form of instances.json; nothing is downloaded."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sizing.hardware.prices.refresh import RefreshError
from sizing.hardware.prices.sanity import Quote
from sizing.hardware.prices.table import price_file, read_prices
from sizing.hardware.prices.vantage import MACHINES, main, quotes_by_region


def instance(name: str, **regions: dict[str, Any]) -> dict[str, Any]:
    pricing = {region.replace("_", "-"): {"linux": prices} for region, prices in regions.items()}
    return {"instance_type": name, "vCPU": 4, "pricing": pricing}


DOCUMENT = [
    instance(
        "g6.xlarge",
        eu_central_1={"ondemand": "1.0061", "spot_max": "0.62", "spot_min": "0.4"},
        us_gov_east_1={"ondemand": "1.0144"},
        us_west_2_lax_1={"ondemand": "0.97"},
        us_east_1_wl1_bos1={"ondemand": "1.07"},
        # Sold as something else than on demand.
        eu_west_1={"spot_max": "0.5"},
    ),
    instance("m7i.xlarge", eu_central_1={"ondemand": "0.2415"}),
    instance("t3.micro", eu_central_1={"ondemand": "0.012"}),
    {
        "instance_type": "g5.xlarge",
        "pricing": {"eu-central-1": {"rhel": {"ondemand": "1.5"}}, "eu-west-1": {"linux": {"ondemand": "0"}}},
    },
]


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def test_on_demand_and_the_dearest_zone_of_spot_by_region():
    assert quotes_by_region(encoded(DOCUMENT), MACHINES) == {
        "eu-central-1": {
            "g6.xlarge": Quote("g6.xlarge", 1.0061, 0.62),
            "m7i.xlarge": Quote("m7i.xlarge", 0.2415, None),
        },
        "us-gov-east-1": {"g6.xlarge": Quote("g6.xlarge", 1.0144, None)},
    }


@pytest.mark.parametrize(
    "document", [{}, [{"pricing": {}}], [instance("g6.xlarge", here={"ondemand": "N/A"})]]
)
def test_another_form_is_refused(document: object):
    with pytest.raises(RefreshError, match="its form has changed: "):
        quotes_by_region(encoded(document), MACHINES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    price_file("aws", tmp_path).write_text("{}", encoding="utf-8")
    path = tmp_path / "instances.json"
    path.write_bytes(encoded(DOCUMENT))
    return path


def test_rows_have_the_day_and_source_that_are_given(file: Path):
    arguments = [str(file), "--as-of", "2026-11-30", "--source", "the site"]
    assert main(arguments, file.parent) == 0
    row = read_prices("aws", "eu-central-1", file.parent)["g6.xlarge"]
    assert (row.on_demand_usd_per_hour, row.spot_usd_per_hour) == (1.0061, 0.62)
    assert (row.as_of, row.source) == (date(2026, 11, 30), "the site")


def test_only_some_machines_may_be_taken(file: Path):
    arguments = [str(file), "--as-of", "2026-11-30", "--source", "the site", "--machines", "m7i.xlarge"]
    assert main(arguments, file.parent) == 0
    assert list(read_prices("aws", "eu-central-1", file.parent)) == ["m7i.xlarge"]


def test_a_file_without_our_machines_changes_nothing(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_bytes(encoded(DOCUMENT[2:3]))
    assert main([str(file), "--as-of", "2026-11-30", "--source", "s"], file.parent) == 1
    assert "nothing was changed: the file has none of these machine types" in capsys.readouterr().err


def test_a_missing_file_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none"), "--as-of", "2026-11-30", "--source", "s"], tmp_path) == 1
    assert "aws: nothing was changed:" in capsys.readouterr().err
