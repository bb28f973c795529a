"""Each field of everything.yaml changes the plan or what is registered, or is declared to have no effect."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from stacks import program
from stacks.config import NoEffectYet, Section
from stacks.load import parse
from stacks.plan import make_plan
from stacks.plan.judgement import refusals, warnings
from stacks.problems import StackError
from stacks.signing_keys import FOLDER_VARIABLE
from tests.recording import record
from tests.stacks.environments import with_files
from tests.stacks.program.abridged import files
from tests.stacks.program.renderings import EVERYTHING, full_cluster
from tests.stacks.program.test_renderings import choices, owner
from tests.stacks.signing import write_keys

OTHER_TEXTS: dict[str, object] = {
    "revision": "9" * 40,
    "source": "example/other",
    "certificate": "other",
    "hostname": "other.example.com",
    "context": "other",
    "parser": "none",
    "weights": "pvc://others/folder",
    "as_of": date(2025, 1, 1),
    "allowed_origins": ["https://other.example.com"],
    "machine_types": ["g6.4xlarge"],
    "capacity": ["spot", "on-demand"],
}
"""Another value of fields that are neither numbers nor choices nor may be left out."""

REFERRED_TO = {
    ("NodePool", "name"),
    ("NodePool", "accelerator"),
    ("Model", "name"),
    ("Model", "node_pool"),
    ("Model", "model"),
    ("Model", "task"),
    ("Adapter", "name"),
    ("PriceOverride", "machine_type"),
    ("Tokens", "public_keys"),
    ("ExistingCluster", "provider"),
    ("ExistingCluster", "name"),
    ("ExistingCluster", "kubeconfig"),
    ("Model", "engine"),
}
"""Names and paths that other fields or files follow, and fields with one value: a changed one is refused."""

REFUSES_ONLY = {
    # Spot alone is refused for a high one.
    ("ServiceLevel", "availability"),
    # Karpenter refuses min_nodes and orders that other autoscalers cannot keep.
    ("ExistingCluster", "node_autoscaler"),
    ("NodePool", "min_nodes"),
    # Alone it is a warning for more than 10 replicas.
    ("ExistingCluster", "version"),
    # Of machines that have no disk of their own.
    ("NodePool", "disk_gib"),
    # Prices of spot machines count in pools that buy them first.
    ("PriceOverride", "spot_usd_per_hour"),
    # Left out, that of the model's row, which is the same; without it the model does not fit.
    ("Reasoning", "parser"),
    ("Model", "quantization"),
}


def fields(
    section: Section, way: tuple[str | int, ...] = ()
) -> Iterator[tuple[Section, str, tuple[Any, ...]]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from fields(value, (*way, name))
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            for index, item in enumerate(value):
                yield from fields(item, (*way, name, index))
        elif value is not None and value != ():
            yield section, name, (*way, name)


def others(section: Section, name: str) -> Iterator[object]:
    """Other values of the field; None removes it."""
    value, field = getattr(section, name), type(section).model_fields[name]
    if isinstance(value, int | float):
        yield from (
            (value * 2, value + 1, value - 1) if isinstance(value, int) else (value * 0.95, value * 1.02)
        )
    if isinstance(value, str):
        yield from (choice for choice in choices(field.annotation) if choice not in (value, None))
    if name in OTHER_TEXTS:
        yield OTHER_TEXTS[name]
    if not field.is_required():
        yield None


def put(values: dict[str, Any], way: tuple[Any, ...], value: object) -> dict[str, Any] | None:
    changed = copy.deepcopy(values)
    target: Any = changed
    for step in way[:-1]:
        target = target[step]
    if value is None:
        if way[-1] not in target:
            return None
        del target[way[-1]]
    else:
        target[way[-1]] = value
    return changed


def planned(values: dict[str, Any]) -> str:
    plan = make_plan(parse(values, "test"))
    exported = {key: part for key, part in plan.exported().items() if key != "no_effect_yet"}
    said = [warnings(plan, date(2026, 12, 1)), [str(problem) for problem in refusals(plan)]]
    return json.dumps([exported, said], default=str)


def registered(folder: Path, values: dict[str, Any]) -> dict[str, str]:
    with patch.dict(os.environ, {FOLDER_VARIABLE: str(folder / "keys")}):
        stack = parse(values, "test")
        return files(record(lambda: program.export(program.build_on(full_cluster, stack))))


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    found = yaml.safe_load(EVERYTHING.read_text(encoding="utf-8"))
    return with_files(found, tmp_path / "kubeconfig", write_keys(tmp_path / "keys"))


def declared(section: Section, name: str) -> bool:
    mark = type(section).model_fields[name].json_schema_extra
    return isinstance(mark, NoEffectYet) and not mark.only


def test_each_field_acts_or_is_declared(tmp_path: Path, values: dict[str, Any]):
    plan, objects = planned(values), registered(tmp_path, values)
    acting: set[tuple[str, str]] = set()
    seen: set[tuple[str, str]] = set()
    for section, name, way in fields(parse(values, "test")):
        key = (owner(type(section), name), name)
        if declared(section, name) or type(section).__name__ == "BurnRateAlert":
            continue
        seen.add(key)
        if key in acting or key in REFERRED_TO or key in REFUSES_ONLY:
            continue
        for value in others(section, name):
            changed = put(values, way, value)
            try:
                if changed is not None and (
                    planned(changed) != plan or registered(tmp_path, changed) != objects
                ):
                    acting.add(key)
                    break
            except StackError:
                continue
    assert seen - acting - REFERRED_TO - REFUSES_ONLY == {("Gateway", "backend")}


def test_declared_fields_change_nothing(tmp_path: Path, values: dict[str, Any]):
    plan, objects = planned(values), registered(tmp_path, values)
    changed = values
    count = 0
    for section, name, way in fields(parse(values, "test")):
        if not declared(section, name) or way[0] == "observability":
            continue
        for value in others(section, name):
            other = put(changed, way, value)
            if other is None:
                continue
            try:
                parse(other, "test")
            except StackError:
                continue
            changed, count = other, count + 1
            break
    del changed["observability"]
    assert count > 4
    assert planned(changed) == plan
    assert registered(tmp_path, changed) == objects
