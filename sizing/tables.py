"""Reads the data tables beside the code: YAML files of rows, each row one frozen dataclass.

A table has two keys. `rows` maps the name of each row to its fields; `all_rows` holds fields that are the
same everywhere (a date, a region, a source), which a row may state otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import yaml
from pydantic import TypeAdapter

Row = TypeVar("Row")


def read_table(path: Path, row_type: type[Row]) -> Mapping[str, Row]:
    """Rows of the table at `path` by name, in the order of the file.

    Raises pydantic.ValidationError on a missing, misspelt or mistyped field: a broken table is a bug of the
    checkout, found by the first test that imports it.
    """
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    shared = document.get("all_rows", {})
    adapter = TypeAdapter(row_type)
    return MappingProxyType(
        {
            name: adapter.validate_python({**shared, **fields, "name": name})
            for name, fields in document["rows"].items()
        }
    )
