"""SEC-004: root, escalation, capabilities, the node's namespaces and files, seccomp."""

from __future__ import annotations

import pytest

from policies.pods import POD_TEMPLATES
from policies.rules.pods_run_restricted import RULE
from tests.policies.judging import UNKNOWN, changed, golden, judge, without

CHAT = golden("deployment-chat")
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


@pytest.mark.parametrize("name", ["deployment-chat", "deployment-gateway", "job-verify"])
def test_what_the_platform_registers_passes(name):
    assert judge(RULE, golden(name)).violations == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (f"{POD}.hostNetwork", True, "hostNetwork shares"),
        (f"{POD}.hostPID", True, "hostPID shares"),
        (f"{POD}.hostIPC", True, "hostIPC shares"),
        (f"{POD}.volumes.0", {"name": "cache", "hostPath": {"path": "/"}}, "mounts / of the node"),
        (f"{POD}.securityContext.runAsUser", 0, "runs as root"),
        (f"{CONTAINER}.securityContext.runAsUser", 0, "runs as root"),
        (f"{CONTAINER}.securityContext.runAsNonRoot", False, "may run as root"),
        (f"{CONTAINER}.securityContext.privileged", True, "is privileged"),
        (f"{CONTAINER}.securityContext.allowPrivilegeEscalation", True, "may gain privileges"),
        (f"{CONTAINER}.securityContext.capabilities.add", ["SYS_ADMIN"], "SYS_ADMIN"),
        (f"{CONTAINER}.securityContext.capabilities.drop", ["NET_RAW"], "default capabilities"),
        (f"{POD}.securityContext.seccompProfile.type", "Unconfined", "seccomp profile Unconfined"),
        (f"{CONTAINER}.securityContext.seccompProfile.type", "Unconfined", "seccomp profile Unconfined"),
        (f"{CONTAINER}.ports.0.hostPort", 80, "port of the node"),
    ],
)
def test_each_privilege_is_a_violation(path, value, said):
    (violation,) = judge(RULE, changed(CHAT, path, value)).violations
    assert violation.startswith("Deployment/inference/chat: ")
    assert said in violation


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"{POD}.securityContext.runAsNonRoot", "may run as root"),
        (f"{POD}.securityContext.seccompProfile", "no seccomp profile"),
        (f"{CONTAINER}.securityContext.allowPrivilegeEscalation", "may gain privileges"),
        (f"{CONTAINER}.securityContext.capabilities", "default capabilities"),
    ],
)
def test_what_is_missing_is_not_taken_for_safe(path, said):
    (violation,) = judge(RULE, without(CHAT, path)).violations
    assert said in violation


def test_a_pod_without_any_security_context_breaks_everything():
    plain = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "plain"},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    }
    assert len(judge(RULE, plain).violations) == 4


def test_the_container_goes_before_the_pod():
    safe = changed(changed(CHAT, f"{POD}.securityContext.runAsNonRoot", False), f"{POD}.hostPID", False)
    assert len(judge(RULE, safe).violations) == 1
    assert judge(RULE, changed(safe, f"{CONTAINER}.securityContext.runAsNonRoot", True)).violations == []


def test_init_containers_count():
    init = {"name": "prepare", "image": "busybox", "securityContext": {"privileged": True}}
    assert any(
        "prepare is privileged" in text
        for text in judge(RULE, changed(CHAT, f"{POD}.initContainers", [init])).violations
    )


@pytest.mark.parametrize("kind", POD_TEMPLATES)
def test_every_kind_that_leads_to_pods_is_judged(kind):
    inner = {"spec": {**CHAT["spec"]["template"]["spec"], "hostNetwork": True}}
    for key in reversed(POD_TEMPLATES[kind]):
        inner = {key: inner}
    manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "one"}, **inner}
    assert len(judge(RULE, manifest).violations) == 1


@pytest.mark.parametrize("odd", ["root", 7, ["a"], True])
def test_odd_types_are_violations_and_no_crash(odd):
    violations = judge(RULE, changed(CHAT, f"{CONTAINER}.securityContext", odd)).violations
    assert violations
    assert all("expected an object" in violation for violation in violations)


def test_settings_allow_capabilities_and_namespaces():
    added = changed(CHAT, f"{CONTAINER}.securityContext.capabilities.add", ["IPC_LOCK"])
    assert judge(RULE, added).violations
    assert judge(RULE, added, config={"allowed_capabilities": ["IPC_LOCK"]}).violations == []
    privileged = changed(CHAT, f"{CONTAINER}.securityContext.privileged", True)
    assert judge(RULE, privileged, config={"privileged_namespaces": ["inference"]}).violations == []
    assert judge(RULE, privileged, config={"privileged_namespaces": ["other"]}).violations


def test_an_unknown_value_does_not_hide_the_other_violations():
    half_known = changed(
        changed(CHAT, f"{POD}.hostNetwork", UNKNOWN), f"{CONTAINER}.securityContext.privileged", True
    )
    judged = judge(RULE, half_known)
    assert judged.unjudged is not None
    assert "hostNetwork" in judged.unjudged
    assert len(judged.violations) == 1


def test_other_resources_are_left_alone():
    assert judge(RULE, golden("nodepool-l4"), golden("service-chat")).violations == []
