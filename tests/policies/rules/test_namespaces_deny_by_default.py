"""SEC-003: what a namespace enforces, and what it refuses by default."""

from __future__ import annotations

import pytest

from policies.rules.namespaces_deny_by_default import RULE
from tests.policies.cases import DENY, INFERENCE
from tests.policies.judging import changed, golden, judge, without

CHAT = golden("deployment-chat")
ENFORCE = {"pod-security.kubernetes.io/enforce": "baseline"}


@pytest.mark.parametrize(
    ("namespace", "said"),
    [
        (changed(INFERENCE, "metadata.labels", ENFORCE), "is baseline: set restricted"),
        (without(INFERENCE, "metadata.labels"), "is missing: set restricted"),
        (changed(INFERENCE, "metadata.name", "other"), "is not registered here"),
    ],
)
def test_what_it_enforces(namespace, said):
    (violation,) = judge(RULE, CHAT, namespace, DENY).violations
    assert violation.startswith("Namespace/inference: ")
    assert said in violation


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ((), "Ingress and Egress"),
        ((changed(DENY, "spec.policyTypes", ["Ingress"]),), "refuses Egress by default"),
        ((changed(DENY, "spec.policyTypes", ["Egress"]),), "refuses Ingress by default"),
        ((changed(DENY, "spec.ingress", [{}]),), "refuses Ingress by default"),
        ((changed(DENY, "spec.podSelector", {"matchLabels": {"a": "b"}}),), "Ingress and Egress"),
        ((changed(DENY, "metadata.namespace", "other"),), "Ingress and Egress"),
    ],
)
def test_what_it_refuses(policies, said):
    (violation,) = judge(RULE, CHAT, INFERENCE, *policies).violations
    assert said in violation


def test_one_policy_for_each_direction_is_enough():
    directions = [changed(DENY, "spec.policyTypes", [name]) for name in ("Ingress", "Egress")]
    assert judge(RULE, CHAT, INFERENCE, *directions).violations == []


def test_a_namespace_without_pods_needs_nothing():
    assert judge(RULE, without(INFERENCE, "metadata.labels")).violations == []


def test_settings():
    bare = without(INFERENCE, "metadata.labels")
    assert judge(RULE, CHAT, bare, DENY, config={"privileged_namespaces": ["inference"]}).violations == []
    assert len(judge(RULE, CHAT, bare, config={"privileged_namespaces": ["inference"]}).violations) == 1
    assert judge(RULE, CHAT, config={"managed_elsewhere": ["inference"]}).violations == []
