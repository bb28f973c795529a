"""REL-003: a budget for every workload with several replicas, and none that blocks a drain."""

from __future__ import annotations

import pytest

from policies.rules.drains_keep_replicas import RULE
from tests.policies.judging import changed, golden, judge, without

CHAT, SCALED = golden("deployment-chat"), golden("scaledobject-chat")
BUDGET, GATEWAY = golden("poddisruptionbudget-chat"), golden("deployment-gateway")


def test_what_the_platform_registers_passes():
    budget = golden("poddisruptionbudget-gateway")
    assert judge(RULE, CHAT, SCALED, BUDGET, GATEWAY, budget, golden("job-verify")).violations == []


def test_a_scaled_workload_without_a_budget():
    (violation,) = judge(RULE, CHAT, SCALED).violations
    assert violation.startswith("Deployment/inference/chat: 5 replicas at most and no PodDisruptionBudget")


def test_several_replicas_without_a_budget():
    (violation,) = judge(RULE, changed(GATEWAY, "spec.replicas", 2)).violations
    assert "2 replicas at most" in violation


def test_one_replica_needs_no_budget():
    assert judge(RULE, GATEWAY, without(changed(CHAT, "spec.strategy", {}), "spec.strategy")).violations == []


def test_an_hpa_counts_like_a_scaled_object():
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "chat", "namespace": "inference"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "chat"},
            "minReplicas": 2,
            "maxReplicas": 4,
        },
    }
    assert len(judge(RULE, CHAT, hpa).violations) == 1
    assert judge(RULE, CHAT, hpa, BUDGET).violations == []


@pytest.mark.parametrize(
    "budget",
    [
        changed(BUDGET, "metadata.namespace", "elsewhere"),
        changed(BUDGET, "spec.selector.matchLabels", {"app.kubernetes.io/name": "other"}),
        without(BUDGET, "spec.selector"),
    ],
)
def test_a_budget_guards_only_what_it_selects(budget):
    assert len(judge(RULE, CHAT, SCALED, budget).violations) == 1


@pytest.mark.parametrize(
    ("expression", "guards"),
    [
        ({"operator": "In", "values": ["chat"]}, True),
        ({"operator": "NotIn", "values": ["chat"]}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "DoesNotExist"}, False),
    ],
)
def test_expressions_of_a_selector(expression, guards):
    selector = {"matchExpressions": [{"key": "app.kubernetes.io/name", **expression}]}
    violations = judge(RULE, CHAT, SCALED, changed(BUDGET, "spec.selector", selector)).violations
    assert (violations == []) == guards


@pytest.mark.parametrize("amount", [0, "0", "0%"])
def test_a_budget_that_lets_nothing_go(amount):
    (violation,) = judge(RULE, CHAT, SCALED, changed(BUDGET, "spec.maxUnavailable", amount)).violations
    assert violation.startswith("PodDisruptionBudget/inference/chat: ")
    assert "allows no disruption" in violation


@pytest.mark.parametrize(
    ("amount", "minimum", "passes"),
    [
        (1, 1, False),
        (1, 2, True),
        (2, 2, False),
        ("50%", 2, True),
        ("50%", 1, False),
        ("100%", 9, False),
        (0, 1, True),
        (1, 0, False),
    ],
)
def test_min_available_against_the_least_replicas(amount, minimum, passes):
    budget = changed(without(BUDGET, "spec.maxUnavailable"), "spec.minAvailable", amount)
    scaled = changed(changed(SCALED, "spec.minReplicaCount", minimum), "spec.maxReplicaCount", 10)
    assert (judge(RULE, CHAT, scaled, budget).violations == []) == passes


def test_placeholders_may_all_leave_and_settings_say_who_else():
    placeholder = changed(CHAT, "spec.replicas", 3)
    placeholder["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = "placeholder"
    assert judge(RULE, placeholder).violations == []
    assert len(judge(RULE, placeholder, config={"exempt_components": []}).violations) == 1


@pytest.mark.parametrize("odd", ["half", True, [1], "x%", "nan%", "inf"])
def test_odd_types_are_violations_and_no_crash(odd):
    (violation,) = judge(RULE, CHAT, SCALED, changed(BUDGET, "spec.maxUnavailable", odd)).violations
    assert "expected a number" in violation
