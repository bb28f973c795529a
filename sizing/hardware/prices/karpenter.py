"""`python -m sizing.hardware.prices.karpenter`: renews prices from the tables inside Karpenter's providers.

Needs no account. Karpenter starts with list prices that its developers read from the clouds' own lists:

aws: pkg/providers/pricing/zz_generated.pricing_aws*.go of the module github.com/aws/karpenter-provider-aws,
    got by `go mod download` at the version below, or --file one of these. They have us-east-1 and both
    GovCloud regions, on demand. China's table is left out: it is in yuan.
gcp: --file pkg/providers/pricing/initial-prices.json of github.com/cloudpilot-ai/karpenter-provider-gcp, all
    regions, on demand and spot; the file has no day and no revision in it, so both are asked for.

A reading keeps the day on which its table was generated, which may be months before the version's.
Read the difference before you commit it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ValidationError

from sizing.hardware.machines import CLOUDS, SHAPES, SYSTEM_SHAPES, UNPRICED, Cloud
from sizing.hardware.prices.refresh import RefreshError, renew
from sizing.hardware.prices.sanity import Quote
from sizing.hardware.prices.table import DATA, price_file

AWS_MODULE = "github.com/aws/karpenter-provider-aws"
AWS_VERSION = "v1.15.0"
AWS_TABLES = tuple(
    f"pkg/providers/pricing/zz_generated.pricing_{partition}.go" for partition in ("aws", "aws_us_gov")
)
GCP_MODULE = "github.com/cloudpilot-ai/karpenter-provider-gcp"
GCP_TABLE = "pkg/providers/pricing/initial-prices.json"

DOWNLOAD_SECONDS = 300
"""The module has 3 MB; a first download of a Go toolchain may come before it."""


@dataclass(frozen=True)
class Published:
    """A table of prices by region and machine type. source: where it is; as_of: when it was generated."""

    source: str
    as_of: date
    on_demand: Mapping[str, Mapping[str, float]]
    spot: Mapping[str, Mapping[str, float]]


def go_table(text: str, source: str) -> Published:
    """A generated Go file of Karpenter's AWS provider. Raises RefreshError if it has another form."""
    day = re.search(r"^// generated at (\d{4}-\d\d-\d\d)T", text, re.MULTILINE)
    regions: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        opened = re.fullmatch(r'\s*"([a-z0-9-]+)": \{', line)
        if opened is not None:
            regions[opened[1]] = {}
        elif regions:
            last = regions[next(reversed(regions))]
            last.update({name: float(usd) for name, usd in re.findall(r'"([\w.-]+)": ([\d.]+)', line)})
    if day is None or not any(regions.values()):
        raise RefreshError(f"{source}: no day and no prices were found: its form has changed")
    return Published(source, date.fromisoformat(day[1]), regions, {})


class _GcpRegion(BaseModel):
    on_demand: dict[str, float] = {}
    spot: dict[str, float] = {}


class _GcpTable(BaseModel):
    prices: dict[str, _GcpRegion]


def json_table(text: str, source: str, as_of: date) -> Published:
    """initial-prices.json of Karpenter's GCP provider. Raises RefreshError if it has another form."""
    try:
        prices = _GcpTable.model_validate_json(text).prices
    except ValidationError as error:
        raise RefreshError(f"{source}: its form has changed: {error.errors()[0]['msg']}") from None
    return Published(
        source,
        as_of,
        {region: row.on_demand for region, row in prices.items()},
        {region: row.spot for region, row in prices.items()},
    )


def quotes_of(table: Published, cloud: Cloud) -> Iterator[tuple[str, dict[str, Quote]]]:
    """Region and quotes of the machine types that the data files have, where there are any."""
    wanted = [
        name
        for shapes in (SHAPES, SYSTEM_SHAPES)
        for name, shape in shapes.items()
        if shape.cloud == cloud and name not in UNPRICED
    ]
    for region, prices in table.on_demand.items():
        spot = table.spot.get(region, {})
        quotes = {name: Quote(name, prices[name], spot.get(name)) for name in wanted if name in prices}
        if quotes:
            yield region, quotes


class _Download(BaseModel):
    Zip: str = ""
    Error: str = ""


def downloaded(module: str, version: str, files: Sequence[str]) -> dict[str, str]:
    """Texts of files of a Go module, by path. Raises RefreshError if it cannot be had."""
    command = ["go", "mod", "download", "-json", f"{module}@{version}"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS, cwd=folder
            )
        except FileNotFoundError:
            raise RefreshError("go is not installed: give a table with --file") from None
        except subprocess.TimeoutExpired:
            raise RefreshError(f"{' '.join(command)} did not end within {DOWNLOAD_SECONDS} s") from None
    try:
        # If the module asks for a newer Go, an error stands beside the archive; to read a table any will do.
        found = _Download.model_validate_json(done.stdout)
    except ValidationError:
        said = done.stderr.strip().partition("\n")[0]
        raise RefreshError(f"{' '.join(command)} failed: {said}") from None
    if not found.Zip:
        raise RefreshError(f"{' '.join(command)} failed: {found.Error}")
    with zipfile.ZipFile(found.Zip) as archive:
        return {name: archive.read(f"{module}@{version}/{name}").decode() for name in files}


def main(arguments: list[str], folder: Path = DATA) -> int:
    """Exit status: 0, or 1 if nothing was changed."""
    parser = argparse.ArgumentParser(prog="python -m sizing.hardware.prices.karpenter", description=__doc__)
    parser.add_argument("--cloud", choices=CLOUDS, default="aws", help="default: aws")
    parser.add_argument("--file", type=Path, help="a table on this machine; without it, aws's is downloaded")
    parser.add_argument("--as-of", type=date.fromisoformat, help="gcp: day of the file's commit")
    parser.add_argument("--revision", help="gcp: the commit")
    options = parser.parse_args(arguments)
    if options.cloud == "gcp" and None in (options.file, options.as_of, options.revision):
        parser.error("--cloud gcp needs --file, --as-of and --revision")
    try:
        tables = (
            [_gcp(options.file, options.as_of, options.revision)]
            if options.cloud == "gcp"
            else _aws(options.file)
        )
    except (RefreshError, OSError, KeyError) as error:
        print(f"{options.cloud}: nothing was changed: {error}", file=sys.stderr)
        return 1
    for table in tables:
        for region, quotes in quotes_of(table, options.cloud):
            doubts = renew(options.cloud, quotes, region, table.source, table.as_of, folder)
            print(
                f"{options.cloud}: {len(quotes) - len(doubts)} prices of {region}, of {table.as_of}, in "
                f"{price_file(options.cloud).name}"
            )
            for doubt in doubts:
                print(f"{options.cloud}: {region}: {doubt.machine} not taken over: {doubt.reason}")
    return 0


def _aws(file: Path | None) -> list[Published]:
    if file is not None:
        return [go_table(file.read_text(encoding="utf-8"), f"{AWS_MODULE}: {file.name} (Apache-2.0)")]
    texts = downloaded(AWS_MODULE, AWS_VERSION, AWS_TABLES)
    return [
        go_table(text, f"{AWS_MODULE} {AWS_VERSION}: {name} (Apache-2.0)") for name, text in texts.items()
    ]


def _gcp(file: Path, as_of: date, revision: str) -> Published:
    source = f"{GCP_MODULE} at {revision}: {GCP_TABLE} (Apache-2.0)"
    return json_table(file.read_text(encoding="utf-8"), source, as_of)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
