"""SEC-011: accounts of pods, and tokens that they mount."""

from __future__ import annotations

import pytest

from policies.rules.pods_have_own_accounts import RULE
from tests.policies.judging import changed, golden, judge, without

CHAT, ACCOUNT = golden("deployment-chat"), golden("serviceaccount-chat")
SPEC = "spec.template.spec"
MOUNTED = f"{SPEC}.automountServiceAccountToken"


@pytest.mark.parametrize("name", ["deployment-chat", "deployment-gateway", "job-verify"])
def test_what_the_platform_registers_passes(name):
    assert judge(RULE, golden(name)).violations == []


@pytest.mark.parametrize("name", ["default", None])
def test_the_shared_account(name):
    (violation,) = judge(RULE, changed(CHAT, f"{SPEC}.serviceAccountName", name)).violations
    assert "runs as the account `default`" in violation


def test_the_pod_goes_before_its_account():
    assert len(judge(RULE, changed(CHAT, MOUNTED, True), ACCOUNT).violations) == 1
    silent = without(CHAT, MOUNTED)
    assert judge(RULE, silent, ACCOUNT).violations == []
    (violation,) = judge(RULE, silent).violations
    assert "mounts a token" in violation
    assert len(judge(RULE, silent, changed(ACCOUNT, "automountServiceAccountToken", True)).violations) == 1
    assert len(judge(RULE, silent, changed(ACCOUNT, "metadata.namespace", "other")).violations) == 1


def test_namespaces_of_operators():
    mounting = changed(CHAT, MOUNTED, True)
    assert judge(RULE, mounting, config={"token_namespaces": ["inference"]}).violations == []
