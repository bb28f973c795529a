"""A stack of every provider, what each of them plans and registers, and other values of each field."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from stacks import program
from stacks.config import NoEffectYet, Section, Stack
from stacks.load import PROJECT, STACKS, parse
from stacks.plan import make_plan
from stacks.plan.judgement import refusals, warnings
from stacks.signing_keys import FOLDER_VARIABLE
from tests.recording import Recording, record
from tests.stacks.environments import KUBECONFIG, local_values, stack_on, with_files
from tests.stacks.program.renderings import EVERYTHING, full_cluster
from tests.stacks.program.test_renderings import choices
from tests.stacks.signing import write_keys

FINGERPRINT = re.compile(r"(verify(?:-token)?|stag(?:e-[a-z0-9-]+|ing))-[0-9a-f]{10}")
"""Of everything that the check at the end is made from, the stack file too: it changes with any field."""

TODAY = date(2026, 12, 1)


@dataclass(frozen=True)
class Base:
    """A stack that is changed one field at a time. register: the program for it, on a cluster."""

    values: dict[str, Any]
    folder: Path
    register: Callable[[Stack], program.Platform]

    def registered(self, values: dict[str, Any]) -> list[str]:
        """Each resource with its fingerprints, and without what a Secret holds: a token has its time."""
        with patch.dict(os.environ, {FOLDER_VARIABLE: str(self.folder / "keys")}):
            stack = parse(values, "test")
            recording = record(lambda: program.export(self.register(stack)))
        return sorted(_lines(recording))

    def rendered(self, values: dict[str, Any]) -> list[str]:
        """The same without fingerprints."""
        return [FINGERPRINT.sub(r"\1", line) for line in self.registered(values)]

    def acts(self, changed: dict[str, Any]) -> bool:
        """Whether the plan, what is said of it or what is registered differs.

        Raises StackError if the change is refused.
        """
        return planned(changed) != self._planned or self.rendered(changed) != self._rendered

    @cached_property
    def _planned(self) -> str:
        return planned(self.values)

    @cached_property
    def _rendered(self) -> list[str]:
        return self.rendered(self.values)


def bases(folder: Path) -> dict[str, Base]:
    """By the provider of their cluster. Only the local cluster is built; the others are as full_cluster()."""
    keys = write_keys(folder / "keys")
    stack_on(folder / "kubeconfig")
    existing = yaml.safe_load(EVERYTHING.read_text(encoding="utf-8"))
    return {
        "existing": Base(with_files(existing, folder / "kubeconfig", keys), folder, _on_full_cluster),
        "local": Base(with_files(local_values(), folder / "kubeconfig", keys), folder, program.build),
        "aws": Base(_shipped("prod", keys), folder, _on_full_cluster),
        "gcp": Base(_shipped("prod-gcp", keys), folder, _on_full_cluster),
    }


def _on_full_cluster(stack: Stack) -> program.Platform:
    return program.build_on(full_cluster, stack)


def _shipped(name: str, keys: Path) -> dict[str, Any]:
    document = yaml.safe_load((STACKS / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))
    values = {key.removeprefix(f"{PROJECT}:"): value for key, value in document["config"].items()}
    values["gateway"]["tokens"]["public_keys"] = str(keys)
    return values


def write_other_files(folder: Path) -> None:
    """A kubeconfig that names another Prometheus, and a JWKS with one more key."""
    (folder / "other-kubeconfig").write_text(
        yaml.safe_dump(KUBECONFIG).replace("prometheus.example", "other.example"), encoding="utf-8"
    )
    keys = json.loads((folder / "keys" / "jwks.json").read_text(encoding="utf-8"))["keys"]
    (folder / "other.jwks.json").write_text(
        json.dumps({"keys": [{**keys[0], "kid": "before"}, *keys]}), encoding="utf-8"
    )


def planned(values: dict[str, Any]) -> str:
    """The plan with all that is said of it, but the list of fields without effect."""
    plan = make_plan(parse(values, "test"))
    exported = {key: part for key, part in plan.exported().items() if key != "no_effect_yet"}
    said = [warnings(plan, TODAY), [str(problem) for problem in refusals(plan)]]
    return json.dumps([plan.cluster, plan.provider, plan.region, exported, said], default=str)


def _lines(recording: Recording) -> Iterator[str]:
    for item in recording:
        inputs = {**item.inputs, "data": None} if item.inputs.get("kind") == "Secret" else item.inputs
        yield f"{item.urn} {json.dumps(inputs, sort_keys=True)}"


OTHERS: dict[str, tuple[object, ...]] = {
    "name": ("other",),
    "revision": ("9" * 40,),
    "source": ("example/other",),
    "certificate": ("other",),
    "hostname": ("other.example.com",),
    "context": ("other",),
    "kubeconfig": ("other",),
    "project": ("other-project",),
    "region": ("us-west-2", "us-west1"),
    "version": ("1.34",),
    "machine_type": ("m7i.2xlarge", "e2-standard-8"),
    "parser": ("none",),
    "weights": ("pvc://others/folder",),
    "as_of": (date(2025, 1, 1),),
    "allowed_origins": (["https://other.example.com"],),
    "api_allowed_cidrs": (["198.51.100.0/24"],),
    "machine_types": (["g6.4xlarge"], ["g2-standard-16"]),
    "capacity": (["spot", "on-demand"], ["reserved", "on-demand"]),
    "min_nodes": (3,),
    "disk_gib": (250,),
    "burn_rate_alerts": ([],),
}
"""Other values of fields that are neither numbers nor choices."""


def declared(section: Section, name: str) -> bool:
    """Whether no value of the field has an effect, by its mark: its default is what it does anyway."""
    field = type(section).model_fields[name]
    mark = field.json_schema_extra
    if not isinstance(mark, NoEffectYet):
        return False
    return not mark.only or {*mark.only, field.default} >= set(choices(field.annotation))


def fields(
    section: Section, way: tuple[str | int, ...] = ()
) -> Iterator[tuple[Section, str, tuple[str | int, ...]]]:
    """Each field that is set, or has a value in OTHERS: its section, its name, and the way to it."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if declared(section, name):
            yield section, name, (*way, name)
        elif isinstance(value, Section):
            yield from fields(value, (*way, name))
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            for index, item in enumerate(value):
                yield from fields(item, (*way, name, index))
        elif value not in (None, ()) or name in OTHERS:
            yield section, name, (*way, name)


def others(section: Section, name: str) -> Iterator[object]:
    """Other values of the field; None removes it."""
    value, field = getattr(section, name), type(section).model_fields[name]
    if name in OTHERS:
        yield from OTHERS[name]
    if isinstance(value, int | float):
        yield from (
            (value * 2, value + 1, value - 1) if isinstance(value, int) else (value * 0.95, value * 1.02)
        )
    if isinstance(value, str):
        yield from (choice for choice in choices(field.annotation) if choice not in (value, None))
    if not field.is_required():
        yield None
