from __future__ import annotations

import shutil
import sys
from datetime import date
from pathlib import Path

import pytest

from sizing.hardware.prices import __main__ as command
from sizing.hardware.prices.refresh import RefreshError, renew, run
from sizing.hardware.prices.sanity import Quote
from sizing.hardware.prices.table import DATA, price_file, priced_regions, read_prices

TODAY = date(2026, 11, 24)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for cloud in ("aws", "gcp"):
        shutil.copy(price_file(cloud), price_file(cloud, tmp_path))
    return tmp_path


def test_believed_quotes_become_rows_of_today_and_the_rest_stays(folder: Path):
    quotes = {
        "g6.2xlarge": Quote("g6.2xlarge", 1.05, 0.4),
        "g6.xlarge": Quote("g6.xlarge", 700.0, None),
    }
    doubts = renew("aws", quotes, "us-east-1", "Price List", TODAY, folder)
    assert [found.machine for found in doubts] == ["g6.xlarge"]
    before, after = read_prices("aws", "us-east-1", DATA), read_prices("aws", "us-east-1", folder)
    assert after.keys() == before.keys()
    row = after["g6.2xlarge"]
    assert (row.on_demand_usd_per_hour, row.spot_usd_per_hour) == (1.05, 0.4)
    assert (row.as_of, row.source, row.region) == (TODAY, "Price List", "us-east-1")
    for name in before.keys() - {"g6.2xlarge"}:
        assert after[name] == before[name]


def test_another_region_stands_beside_the_first(folder: Path):
    # 60 % dearer than us-east-1: regions are not measured against one another.
    renew("aws", {"g6.2xlarge": Quote("g6.2xlarge", 1.56, None)}, "xx-south-1", "List", TODAY, folder)
    assert read_prices("aws", "xx-south-1", folder)["g6.2xlarge"].on_demand_usd_per_hour == 1.56
    assert read_prices("aws", "us-east-1", folder) == read_prices("aws", "us-east-1")
    assert set(priced_regions("aws", folder)) == {*priced_regions("aws"), "xx-south-1"}


def test_an_older_reading_does_not_replace_a_newer_one(folder: Path):
    renew("aws", {"g6.2xlarge": Quote("g6.2xlarge", 1.05, None)}, "us-east-1", "new", TODAY, folder)
    renew("aws", {"g6.2xlarge": Quote("g6.2xlarge", 0.9, None)}, "us-east-1", "old", date(2026, 1, 1), folder)
    row = read_prices("aws", "us-east-1", folder)["g6.2xlarge"]
    assert (row.on_demand_usd_per_hour, row.source) == (1.05, "new")


def test_a_second_refresh_reads_what_the_first_wrote(folder: Path):
    quotes = {"g6.2xlarge": Quote("g6.2xlarge", 0.98, 0.4)}
    renew("aws", quotes, "us-east-1", 'a "quoted" source', TODAY, folder)
    first = price_file("aws", folder).read_text(encoding="utf-8")
    renew("aws", quotes, "us-east-1", 'a "quoted" source', TODAY, folder)
    assert price_file("aws", folder).read_text(encoding="utf-8") == first


def test_a_command_that_is_missing_or_fails_is_one_line():
    with pytest.raises(RefreshError, match="no-such-cloud is not installed"):
        run(["no-such-cloud", "prices"])
    with pytest.raises(RefreshError, match=r"failed: no credentials$"):
        run(
            [sys.executable, "-c", "import sys; print('no credentials\\nmore', file=sys.stderr); sys.exit(1)"]
        )
    assert run([sys.executable, "-c", "print('token')"]) == "token\n"


def test_a_cloud_that_cannot_be_asked_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def unreachable(cloud: str, region: str, now: object) -> dict[str, Quote]:
        raise RefreshError("aws is not installed")

    before = price_file("aws").read_text(encoding="utf-8")
    monkeypatch.setattr(command, "_quotes", unreachable)
    assert command.main(["--cloud", "aws"]) == 1
    assert "aws: nothing was changed: aws is not installed" in capsys.readouterr().err
    assert price_file("aws").read_text(encoding="utf-8") == before


def test_a_region_needs_its_cloud(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command.main(["--region", "eu-central-1"])
    assert "--region needs --cloud" in capsys.readouterr().err
