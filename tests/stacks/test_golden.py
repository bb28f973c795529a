"""The manifests that environments register, as committed files: a change shows in the review.

`local` holds those of the local stack, `warm-nodes` what a pool adds that keeps nodes warm; plans.yaml what
each stack amounts to, so that a change of a table shows what it does to replicas and money.

To update: `LLM_PLATFORM_UPDATE_GOLDEN=1 python -m pytest tests/stacks/test_golden.py`, then read the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from serving.cost import Span
from stacks import program
from stacks.load import STACKS, from_file
from stacks.plan import Plan, make_plan
from tests.recording import record
from tests.stacks.environments import local_values, stack_on

GOLDEN = Path(__file__).parent.parent / "golden"
UPDATE = "LLM_PLATFORM_UPDATE_GOLDEN"


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, so that a diff shows the line that changed."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def file_name(manifest: dict[str, Any]) -> str:
    """`deployment-chat.yaml`; the hash at the end of the names of a Job's run is left out."""
    name = re.sub(r"^(verify|stage-.+|staging)-[0-9a-f]{10}$", r"\1", manifest["metadata"]["name"])
    return f"{manifest['kind'].lower()}-{name}.yaml"


def shown(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest without what a Secret holds, which differs every time and belongs into no file."""
    if manifest["kind"] != "Secret":
        return manifest
    return {**manifest, "data": "(secret)"}


def warm_values() -> dict[str, Any]:
    """The local environment with a warm node in each pool, kept by one mechanism here and the other there."""
    values = local_values()
    mechanisms = ("placeholder_pods", "capacity_buffer")
    for pool, mechanism in zip(values["node_pools"], mechanisms, strict=True):
        pool.update(warm_nodes=1, warm_capacity=mechanism)
    return values


def rendered(folder: Path, values: dict[str, Any]) -> dict[str, str]:
    stack = stack_on(folder / "kubeconfig", values)
    recording = record(lambda: program.export(program.build(stack)))
    manifests = [resource.inputs for resource in recording if "metadata" in resource.inputs]
    return {
        file_name(manifest): yaml.dump(shown(manifest), Dumper=_Dumper, sort_keys=True, width=110)
        for manifest in manifests
    }


def compare(golden: Path, manifests: dict[str, str]) -> None:
    """The manifests are the committed ones, or become them when the variable says so."""
    if os.environ.get(UPDATE) == "1":
        golden.mkdir(parents=True, exist_ok=True)
        for stale in golden.glob("*.yaml"):
            stale.unlink()
        for name, text in manifests.items():
            (golden / name).write_text(text, encoding="utf-8")
    committed = {path.name: path.read_text(encoding="utf-8") for path in golden.glob("*.yaml")}
    assert sorted(committed) == sorted(manifests), f"update with {UPDATE}=1, then read the diff"
    for name, text in manifests.items():
        assert text == committed[name], f"{name} changed: update with {UPDATE}=1, then read the diff"


def amounts(span: Span, digits: int) -> str:
    return " / ".join(f"{amount:.{digits}f}" for amount in (span.minimum, span.expected, span.maximum))


def figures(plan: Plan) -> dict[str, Any]:
    """What a plan comes to: minimum / expected / maximum."""
    return {
        "models": {
            model.name: {
                "machine": model.machine,
                "replicas": f"{model.replicas_min} / {model.replicas_expected} / {model.replicas_max}",
                "usd_per_hour": amounts(model.usd_per_hour, 2),
            }
            for model in plan.models
        },
        "machines": {pool.name: amounts(pool.machines, 0) for pool in plan.pools},
        "usd_per_month": amounts(plan.usd_per_hour.per_month, 0),
    }


def test_plans_of_every_stack():
    names = sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml"))
    text = yaml.safe_dump({name: figures(make_plan(from_file(name))) for name in names}, sort_keys=False)
    path = GOLDEN / "plans.yaml"
    if os.environ.get(UPDATE) == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"update with {UPDATE}=1, then read the diff"


def test_manifests_of_the_local_environment(tmp_path: Path):
    compare(GOLDEN / "local", rendered(tmp_path, local_values()))


def test_manifests_that_warm_nodes_add(tmp_path: Path):
    without = rendered(tmp_path, local_values())
    added = {name: text for name, text in rendered(tmp_path, warm_values()).items() if name not in without}
    compare(GOLDEN / "warm-nodes", added)
