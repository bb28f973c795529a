"""The policies of the pack. Importable: only __main__.py turns them into a PolicyPack, which blocks."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from pulumi_policy import Policy

from policies.rule import Rule

NAME = "llm-platform"
DESCRIPTION = "Rules for LLM serving on Kubernetes, judged before anything is created."
RULES_FOLDER = Path(__file__).parent / "rules"


def _rules() -> Iterator[Rule]:
    """`RULE` of every module in policies/rules: a new rule is a new file there."""
    for module in iter_modules([str(RULES_FOLDER)]):
        yield import_module(f"policies.rules.{module.name}").RULE


RULES = tuple(sorted(_rules(), key=lambda rule: rule.id))
POLICIES: list[Policy] = [rule.policy() for rule in RULES]
