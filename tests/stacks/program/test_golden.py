"""What environments register, as committed files: a change shows in the review.

`local` holds the local stack, `everything` one in which whatever a stack file can say is said once
(everything.yaml); plans.yaml what each stack amounts to, so that a change of a table shows what it does to
replicas and money. abridged.py says what the files leave out and why.

To update: `make golden`, then read the diff.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
import yaml

from sizing.cost import Span
from stacks.load import STACKS, from_file
from stacks.plan import Plan, make_plan
from tests.stacks.program.abridged import files
from tests.stacks.program.renderings import RENDERINGS, everything_stack

GOLDEN = STACKS.parent / "tests" / "golden"
UPDATE = "LLM_PLATFORM_UPDATE_GOLDEN"


def compare(golden: Path, rendered: Mapping[str, str]) -> None:
    """The files are the committed ones, or become them when the variable says so."""
    if os.environ.get(UPDATE) == "1":
        shutil.rmtree(golden, ignore_errors=True)
        for name, text in rendered.items():
            path = golden / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    paths = {str(path.relative_to(golden)): path for path in golden.rglob("*") if path.is_file()}
    assert sorted(paths) == sorted(rendered), "`make golden`, then read the diff"
    changed = {name: paths[name].read_text(encoding="utf-8") for name in rendered}
    changed = {name: text for name, text in changed.items() if text != rendered[name]}
    first = [
        line
        for name in sorted(changed)[:1]
        for line in unified_diff(changed[name].splitlines(), rendered[name].splitlines(), lineterm="", n=1)
    ]
    said = f"`make golden`, then read the diff. Changed: {', '.join(sorted(changed))}"
    assert not changed, "\n".join([said, *first[:40]])


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


def test_plans_of_every_stack(tmp_path: Path):
    names = sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml"))
    stacks = {"everything": everything_stack(tmp_path), **{name: from_file(name) for name in names}}
    text = yaml.safe_dump(
        {name: figures(make_plan(stack)) for name, stack in stacks.items()}, sort_keys=False
    )
    path = GOLDEN / "plans.yaml"
    if os.environ.get(UPDATE) == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "`make golden`, then read the diff"


@pytest.mark.parametrize("name", ["local", "everything"])
def test_what_an_environment_registers(tmp_path: Path, name: str):
    compare(GOLDEN / name, files(RENDERINGS[name](tmp_path)))
