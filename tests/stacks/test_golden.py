"""The manifests that the local environment registers, as committed files: a change shows in the review.

To update: `LLM_PLATFORM_UPDATE_GOLDEN=1 python -m pytest tests/stacks/test_golden.py`, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks import program
from tests.recording import record
from tests.stacks.environments import stack_on

GOLDEN = Path(__file__).parent.parent / "golden" / "local"
UPDATE = "LLM_PLATFORM_UPDATE_GOLDEN"


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, so that a diff shows the line that changed."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def file_name(manifest: dict[str, Any]) -> str:
    """`deployment-chat.yaml`; the hash in the names of one run of the verification is left out."""
    name = manifest["metadata"]["name"]
    name = "verify" if name.startswith("verify-") else name
    return f"{manifest['kind'].lower()}-{name}.yaml"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    stack = stack_on(tmp_path_factory.mktemp("golden") / "kubeconfig")
    recording = record(lambda: program.export(program.build(stack)))
    manifests = [resource.inputs for resource in recording if "metadata" in resource.inputs]
    return {
        file_name(manifest): yaml.dump(manifest, Dumper=_Dumper, sort_keys=True, width=110)
        for manifest in manifests
    }


def test_manifests_are_the_committed_ones(rendered: dict[str, str]):
    if os.environ.get(UPDATE) == "1":
        GOLDEN.mkdir(parents=True, exist_ok=True)
        for stale in GOLDEN.glob("*.yaml"):
            stale.unlink()
        for name, text in rendered.items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    committed = {path.name: path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.yaml")}
    assert sorted(committed) == sorted(rendered), f"update with {UPDATE}=1, then read the diff"
    for name, text in rendered.items():
        assert text == committed[name], f"{name} changed: update with {UPDATE}=1, then read the diff"
