"""The policies of the pack. Importable: only __main__.py turns them into a PolicyPack, which blocks."""

from __future__ import annotations

from pulumi_policy import Policy

from policies.rules import budget_and_prices_reviewed as cost_001_advice
from policies.rules import drains_keep_replicas as rel_003
from policies.rules import engine_gets_its_gpus as gpu_002
from policies.rules import engines_not_exposed as sec_001
from policies.rules import engines_reached_through_gateway_only as sec_002
from policies.rules import engines_run_no_foreign_code as sec_005
from policies.rules import engines_still_maintained as sup_002_advice
from policies.rules import engines_without_known_vulnerabilities as sup_002
from policies.rules import gpu_machines_for_gpu_pods_only as gpu_010
from policies.rules import images_pinned_by_digest as sup_001
from policies.rules import machine_credentials_unreachable as sec_006
from policies.rules import model_fits_gpu_memory as gpu_001
from policies.rules import models_pinned_without_code as sup_003
from policies.rules import namespaces_deny_by_default as sec_003
from policies.rules import no_readable_credentials as sec_009
from policies.rules import no_readable_credentials_in_outputs as sec_009_outputs
from policies.rules import pods_have_own_accounts as sec_011
from policies.rules import pods_run_restricted as sec_004
from policies.rules import spending_within_budget as cost_001

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
