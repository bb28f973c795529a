"""Tables in the form that Karpenter's providers generate; nothing is downloaded."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sizing.hardware.prices import karpenter
from sizing.hardware.prices.karpenter import downloaded, go_table, json_table, main, quotes_of
from sizing.hardware.prices.refresh import RefreshError
from sizing.hardware.prices.sanity import Quote
from sizing.hardware.prices.table import price_file, read_prices

GO = """\
package pricing

// generated at 2026-07-20T13:44:30Z for us-east-1

import ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

var InitialOnDemandPricesAWS = map[string]map[ec2types.InstanceType]float64{
\t// us-east-1
\t"us-east-1": {
\t\t// g6 family
\t\t"g6.12xlarge": 4.601600, "g6.xlarge": 0.804800,
\t\t"m7i.large": 0.100800, "u-6tb1.112xlarge": 54.600000,
\t},
\t// us-gov-east-1
\t"us-gov-east-1": {
\t\t"g6.xlarge": 1.014400,
\t},
}
"""
GCP = json.dumps(
    {
        "prices": {
            "europe-west4": {
                "on_demand": {"g2-standard-4": 0.778, "n1-standard-1": 0.05, "a3-highgpu-1g": 11.06},
                "spot": {"g2-standard-4": 0.4},
            },
            "asia-east2": {"on_demand": {"n1-standard-1": 0.05}, "spot": {}},
        }
    }
)


def test_a_go_file_has_its_day_and_its_regions():
    table = go_table(GO, "source")
    assert table.as_of == date(2026, 7, 20)
    assert table.on_demand == {
        "us-east-1": {
            "g6.12xlarge": 4.6016,
            "g6.xlarge": 0.8048,
            "m7i.large": 0.1008,
            "u-6tb1.112xlarge": 54.6,
        },
        "us-gov-east-1": {"g6.xlarge": 1.0144},
    }


def test_only_machines_of_the_tables_are_taken():
    assert dict(quotes_of(go_table(GO, "source"), "aws")) == {
        "us-east-1": {
            "g6.xlarge": Quote("g6.xlarge", 0.8048, None),
            "g6.12xlarge": Quote("g6.12xlarge", 4.6016, None),
            "m7i.large": Quote("m7i.large", 0.1008, None),
        },
        "us-gov-east-1": {"g6.xlarge": Quote("g6.xlarge", 1.0144, None)},
    }
    # A price that no data file may have, because nobody is asked it, and a region without any.
    table = json_table(GCP, "source", date(2026, 8, 3))
    assert dict(quotes_of(table, "gcp")) == {
        "europe-west4": {"g2-standard-4": Quote("g2-standard-4", 0.778, 0.4)}
    }


@pytest.mark.parametrize(
    "text", ["", "package pricing", GO.replace("generated at", "made"), GO.replace("0", "x")]
)
def test_another_form_of_go_file_is_refused(text: str):
    with pytest.raises(RefreshError, match="its form has changed"):
        go_table(text, "source")


@pytest.mark.parametrize("text", ["", "[]", '{"prices": {"here": {"on_demand": [1]}}}'])
def test_another_form_of_json_is_refused(text: str):
    with pytest.raises(RefreshError, match="its form has changed"):
        json_table(text, "source", date(2026, 8, 3))


def test_files_become_rows_of_the_day_of_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    go, gcp = tmp_path / "zz_generated.pricing_aws.go", tmp_path / "initial-prices.json"
    go.write_text(GO, encoding="utf-8")
    gcp.write_text(GCP, encoding="utf-8")
    for cloud in ("aws", "gcp"):
        price_file(cloud, tmp_path).write_text("{}", encoding="utf-8")
    assert main(["--file", str(go)], tmp_path) == 0
    assert (
        main(["--cloud", "gcp", "--file", str(gcp), "--as-of", "2026-08-03", "--revision", "abc"], tmp_path)
        == 0
    )
    row = read_prices("aws", "us-gov-east-1", tmp_path)["g6.xlarge"]
    assert (row.on_demand_usd_per_hour, row.as_of) == (1.0144, date(2026, 7, 20))
    assert "zz_generated.pricing_aws.go" in row.source
    row = read_prices("gcp", "europe-west4", tmp_path)["g2-standard-4"]
    assert (row.on_demand_usd_per_hour, row.spot_usd_per_hour, row.as_of) == (0.778, 0.4, date(2026, 8, 3))
    assert "abc" in row.source
    assert "gcp: 1 prices of europe-west4, of 2026-08-03" in capsys.readouterr().out


def test_a_file_that_is_missing_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--file", str(tmp_path / "none.go")], tmp_path) == 1
    assert "aws: nothing was changed:" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_day_of_a_table_without_one_is_asked_for(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--cloud", "gcp", "--file", "initial-prices.json"])
    assert "needs --file, --as-of and --revision" in capsys.readouterr().err


def answering(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "") -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout, stderr)

    monkeypatch.setattr(karpenter.subprocess, "run", run)


def test_an_archive_is_read_even_if_the_module_asks_for_a_newer_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("module@v1/prices.go", GO)
    (tmp_path / "v1.zip").write_bytes(archive.getvalue())
    answering(monkeypatch, json.dumps({"Zip": str(tmp_path / "v1.zip"), "Error": "requires go >= 1.99"}))
    assert downloaded("module", "v1", ["prices.go"]) == {"prices.go": GO}


def test_a_download_that_fails_says_why(monkeypatch: pytest.MonkeyPatch):
    answering(monkeypatch, json.dumps({"Error": "unknown revision v1"}))
    with pytest.raises(RefreshError, match="unknown revision v1"):
        downloaded("module", "v1", ["prices.go"])
    answering(monkeypatch, "", "go: no network\nmore")
    with pytest.raises(RefreshError, match=r"failed: go: no network$"):
        downloaded("module", "v1", ["prices.go"])
