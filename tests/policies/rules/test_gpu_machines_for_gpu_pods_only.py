"""GPU-010: taints of GPU pools; selectors and tolerations of pods."""

from __future__ import annotations

import pytest

from policies.rules.gpu_machines_for_gpu_pods_only import RULE
from tests.policies.judging import changed, golden, judge, without

CHAT, L4 = golden("deployment-chat"), golden("nodepool-l4")
POD = "spec.template.spec"
TAINTS = "spec.template.spec.taints"


def test_what_the_platform_registers_passes():
    names = ("deployment-chat", "deployment-chat-large", "deployment-gateway", "job-verify")
    pools = ("nodepool-l4", "nodepool-rtx-pro-6000")
    assert judge(RULE, *(golden(name) for name in (*names, *pools))).violations == []


@pytest.mark.parametrize(
    "pool",
    [
        without(L4, TAINTS),
        changed(L4, f"{TAINTS}.0.effect", "PreferNoSchedule"),
        # Known for a GPU pool by its machines or its limit alone.
        without(without(L4, TAINTS), "spec.template.metadata"),
        without(without(without(L4, TAINTS), "spec.template.metadata"), "spec.template.spec.requirements"),
    ],
)
def test_a_gpu_pool_without_a_taint(pool):
    (violation,) = judge(RULE, pool).violations
    assert violation.startswith("NodePool/l4: ")
    assert "without a NoSchedule taint" in violation


def test_a_pool_without_gpus_needs_no_taint():
    pool = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "cpu"},
        "spec": {"template": {"spec": {"requirements": []}}},
    }
    assert judge(RULE, pool).violations == []


def test_a_gpu_pod_without_a_toleration():
    (violation,) = judge(RULE, without(CHAT, f"{POD}.tolerations"), L4).violations
    assert "does not tolerate nvidia.com/gpu=present:NoSchedule" in violation


@pytest.mark.parametrize(
    ("toleration", "passes"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "value": "present"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Equal", "value": "other", "effect": "NoSchedule"}, False),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "team", "operator": "Exists"}, False),
    ],
)
def test_a_toleration_counts_as_kubernetes_counts_it(toleration, passes):
    violations = judge(RULE, changed(CHAT, f"{POD}.tolerations", [toleration]), L4).violations
    assert (violations == []) == passes


def test_a_gpu_pod_without_a_selector_may_land_on_any_gpu():
    (violation,) = judge(RULE, without(CHAT, f"{POD}.nodeSelector"), L4).violations
    assert "asks for 1 GPUs but for no kind of GPU" in violation


def test_required_affinity_is_a_selector_and_preferred_is_none():
    expression = {"key": "llm-platform/accelerator", "operator": "In", "values": ["nvidia-l4"]}
    term = {"matchExpressions": [expression]}
    plain = without(CHAT, f"{POD}.nodeSelector")
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
    assert judge(RULE, changed(plain, f"{POD}.affinity.nodeAffinity", required), L4).violations == []
    assert len(judge(RULE, changed(plain, f"{POD}.affinity.nodeAffinity", preferred), L4).violations) == 1


@pytest.mark.parametrize("key", ["nvidia.com/gpu", ""])
def test_a_pod_without_gpus_must_not_tolerate_their_taint(key):
    toleration = {"key": key, "operator": "Exists"}
    gateway = changed(golden("deployment-gateway"), f"{POD}.tolerations", [toleration])
    (violation,) = judge(RULE, gateway).violations
    assert "spec.template.spec.tolerations[0] lets a pod without GPUs onto GPU machines" in violation
    assert judge(RULE, {**gateway, "kind": "DaemonSet"}).violations == []


def test_a_plain_program_without_pools_needs_the_usual_toleration():
    on_gke = changed(CHAT, f"{POD}.nodeSelector", {"cloud.google.com/gke-accelerator": "nvidia-l4"})
    assert judge(RULE, on_gke).violations == []
    assert len(judge(RULE, without(on_gke, f"{POD}.tolerations")).violations) == 1


def test_settings_name_other_labels_and_taints():
    own = changed(CHAT, f"{POD}.nodeSelector", {"example.com/gpu": "l4"})
    assert judge(RULE, own).violations
    assert judge(RULE, own, config={"selector_labels": ["example.com/gpu"]}).violations == []
    toleration = {"key": "example.com/gpu", "operator": "Exists"}
    gateway = changed(golden("deployment-gateway"), f"{POD}.tolerations", [toleration])
    assert judge(RULE, gateway).violations == []
    assert judge(RULE, gateway, config={"taint_keys": ["example.com/gpu"]}).violations


def test_odd_types_are_violations_and_no_crash():
    assert "expected an object" in judge(RULE, changed(CHAT, f"{POD}.nodeSelector", ["l4"])).violations[0]
    assert "expected a list" in judge(RULE, changed(L4, TAINTS, "nvidia.com/gpu")).violations[0]
