"""SEC-009-OUTPUTS: what the stack exports."""

from __future__ import annotations

from hypothesis import given

from policies.objects import STACK_TYPE
from policies.rules.no_readable_credentials_in_outputs import RULE
from tests.policies.judging import judge, secret
from tests.policies.test_credentials import TOKENS


@given(TOKENS)
def test_a_readable_credential_is_named_and_not_shown(token: str):
    outputs = {"kind": STACK_TYPE, "gateway_url": "http://gateway", "tokens": {"search": token}}
    (violation,) = judge(RULE, outputs).violations
    assert violation.startswith("stack: the output tokens.search looks like a")
    assert token not in violation


@given(TOKENS)
def test_a_secret_output_passes(token: str):
    assert judge(RULE, {"kind": STACK_TYPE, "tokens": secret({"search": token})}).violations == []
    assert judge(RULE, {"kind": STACK_TYPE, "tokens": {"search": secret(token)}}).violations == []


@given(TOKENS)
def test_other_resources_are_left_to_the_other_rule(token: str):
    config_map = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"a": token}}
    assert judge(RULE, config_map).violations == []
