from __future__ import annotations

import shutil
import sys
from datetime import date
from pathlib import Path

import pytest

from sizing.hardware.prices import __main__ as command
from sizing.hardware.prices.refresh import RefreshError, renew, run
from sizing.hardware.prices.sanity import Quote
from sizing.hardware.prices.table import DATA, is_old, price_file, read_prices, read_unpriced

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
    before, after = read_prices("aws", DATA), read_prices("aws", folder)
    assert after.keys() == before.keys()
    row = after["g6.2xlarge"]
    assert (row.on_demand_usd_per_hour, row.spot_usd_per_hour) == (1.05, 0.4)
    assert (row.as_of, row.source, row.region) == (TODAY, "Price List", "us-east-1")
    for name in before.keys() - {"g6.2xlarge"}:
        assert after[name] == before[name]


def test_a_machine_that_gets_a_price_is_no_longer_unpriced(folder: Path):
    renew("gcp", {"g4-standard-48": Quote("g4-standard-48", 4.5, None)}, "us-central1", "SKUs", TODAY, folder)
    assert read_prices("gcp", folder)["g4-standard-48"].on_demand_usd_per_hour == 4.5
    assert read_unpriced("gcp", folder).keys() == read_unpriced("gcp").keys() - {"g4-standard-48"}


def test_another_region_keeps_no_row_of_the_old_one(folder: Path):
    # 60 % dearer than us-east-1: regions are not measured against one another.
    renew("aws", {"g6.2xlarge": Quote("g6.2xlarge", 1.56, None)}, "sa-east-1", "List", TODAY, folder)
    assert {row.region for row in read_prices("aws", folder).values()} == {"sa-east-1"}
    assert read_unpriced("aws", folder)["p5.48xlarge"] == "no price in sa-east-1"


def test_a_second_refresh_reads_what_the_first_wrote(folder: Path):
    quotes = {"g6.2xlarge": Quote("g6.2xlarge", 0.98, 0.4)}
    renew("aws", quotes, "us-east-1", 'a "quoted" source', TODAY, folder)
    first = price_file("aws", folder).read_text(encoding="utf-8")
    renew("aws", quotes, "us-east-1", 'a "quoted" source', TODAY, folder)
    assert price_file("aws", folder).read_text(encoding="utf-8") == first


def test_age():
    assert not is_old(date(2026, 10, 10), TODAY)
    assert is_old(date(2026, 10, 9), TODAY)


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
