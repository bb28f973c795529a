"""Reads the data tables beside the code: YAML files of rows, each row one frozen dataclass.

A table has two keys. `rows` maps the name of each row to its fields; `all_rows` holds fields that are the
same everywhere (a date, a region, a source), which a row may state otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter

Row = TypeVar("Row")


def read_data(path: Path) -> Any:
    """The document in a data file of this checkout: JSON where a command writes it, YAML where people do.

    YAML is read by libyaml: with PyYAML's reader in Python it takes longer than the rest of a plan.
    JSON takes a tenth of that again.
    """
    if path.suffix == ".json":
        return json.loads(path.read_bytes())
    return yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)


def read_table(path: Path, row_type: type[Row]) -> Mapping[str, Row]:
    """Rows of the table at `path` by name, in the order of the file.

    Raises pydantic.ValidationError on a missing, misspelt or mistyped field: a broken table is a bug of the
    checkout, found by the first test that imports it.
    """
    document = read_data(path)
    shared = document.get("all_rows", {})
    adapter = TypeAdapter(row_type)
    return MappingProxyType(
        {
            name: adapter.validate_python({**shared, **fields, "name": name})
            for name, fields in document["rows"].items()
        }
    )
