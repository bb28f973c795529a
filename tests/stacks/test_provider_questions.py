"""What differs between providers is a property in stacks/config/cluster.py: other modules read it there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from stacks.config.cluster import Cluster
from stacks.load import STACKS

KINDS = {kind.__name__ for kind in get_args(get_args(Cluster)[0])}

CONSTRUCTS = {"program/preconditions.py"}
"""Where it is decided which cluster of infra/ is built."""


def questions(source: str) -> Iterator[str]:
    """Each place that decides by the provider: by the class of a section or by its name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name("isinstance" | "issubclass" | "type"), args=[*_, kinds]):
                asked = {part.id for part in ast.walk(kinds) if isinstance(part, ast.Name)}
                asked |= {part.attr for part in ast.walk(kinds) if isinstance(part, ast.Attribute)}
                if asked & KINDS:
                    yield ast.unparse(node)
            case ast.MatchClass(cls=kind) if ast.unparse(kind).rpartition(".")[2] in KINDS:
                yield ast.unparse(node)
            case ast.Compare(left, comparators=others):
                # Two providers beside each other ask whether it changed, not which it is.
                asked_for = [ast.unparse(part).endswith(".provider") for part in (left, *others)]
                if any(asked_for) and not all(asked_for):
                    yield ast.unparse(node)
            case ast.Match(subject=ast.Attribute(attr="provider")):
                yield ast.unparse(node.subject)
            case _:
                pass


def test_the_providers_are_known():
    assert {"LocalCluster", "GcpCluster"} <= KINDS


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(cluster, LocalCluster)",
        "isinstance(stack.cluster, config.AwsCluster | config.GcpCluster)",
        "match cluster:\n case GcpCluster(): pass",
        "match cluster:\n case config.LocalCluster(name=name): pass",
        'cluster.provider == "local"',
        'stack.cluster.provider in ("aws", "gcp")',
        'match stack.cluster.provider:\n case "aws": pass',
    ],
)
def test_a_question_is_found(source: str):
    assert len(list(questions(source))) == 1


def test_whether_it_changed_is_no_such_question():
    assert list(questions("before.cluster.provider != after.cluster.provider")) == []


def test_only_clusters_know_karpenter():
    root = Path(STACKS).parent
    modules = [
        path for part in ("dashboards", "infra", "serving", "stacks") for path in (root / part).rglob("*.py")
    ]
    assert len(modules) > 100
    knowing = {path.name for path in modules if "infra.karpenter import" in path.read_text(encoding="utf-8")}
    assert knowing == {"local.py"}


def test_no_module_asks_which_provider_it_is():
    asking: dict[str, list[str]] = {}
    for path in sorted(Path(STACKS).rglob("*.py")):
        place = path.relative_to(STACKS).as_posix()
        if not place.startswith("config/") and (found := list(questions(path.read_text(encoding="utf-8")))):
            asking[place] = found
    assert asking.keys() == CONSTRUCTS
    assert sum(map(len, asking.values())) == 1
