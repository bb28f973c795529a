"""The policies of the pack. Importable: only __main__.py turns them into a PolicyPack, which blocks."""

from __future__ import annotations

from pulumi_policy import Policy

from policies.rules import (
    cost_001,
    cost_001_advice,
    gpu_001,
    gpu_002,
    gpu_010,
    rel_003,
    sec_001,
    sec_002,
    sec_003,
    sec_004,
    sec_005,
    sec_006,
    sec_009,
    sec_009_outputs,
    sec_011,
    sup_001,
    sup_002,
    sup_002_advice,
    sup_003,
)

NAME = "llm-platform"
DESCRIPTION = "Rules for LLM serving on Kubernetes, judged before anything is created."

RULES = (
    gpu_001.RULE,
    gpu_002.RULE,
    gpu_010.RULE,
    rel_003.RULE,
    sec_001.RULE,
    sec_002.RULE,
    sec_003.RULE,
    sec_004.RULE,
    sec_005.RULE,
    sec_006.RULE,
    sec_009.RULE,
    sec_009_outputs.RULE,
    sec_011.RULE,
    sup_001.RULE,
    sup_002.RULE,
    sup_002_advice.RULE,
    sup_003.RULE,
    cost_001.RULE,
    cost_001_advice.RULE,
)

POLICIES: list[Policy] = [rule.policy() for rule in RULES]
