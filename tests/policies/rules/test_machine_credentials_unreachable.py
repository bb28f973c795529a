"""SEC-006: the way to a metadata address."""

from __future__ import annotations

import pytest

from policies.rules.machine_credentials_unreachable import RULE
from tests.policies.cases import DENY, FROM_GATEWAY, to_block
from tests.policies.judging import changed, judge

BLOCK = to_block("0.0.0.0/0", ["169.254.0.0/16"])


@pytest.mark.parametrize(
    ("cidr", "excluded", "passes"),
    [
        ("0.0.0.0/0", ["169.254.0.0/16"], True),
        ("0.0.0.0/0", ["169.254.169.254/32"], True),
        ("0.0.0.0/0", [], False),
        ("0.0.0.0/0", ["10.0.0.0/8"], False),
        ("169.254.169.254/32", [], False),
        ("169.254.170.23/32", [], True),
        ("10.0.0.0/8", [], True),
        ("::/0", [], False),
        ("::/0", ["fd00:ec2::/32"], True),
    ],
)
def test_blocks_of_addresses(cidr, excluded, passes):
    assert (judge(RULE, to_block(cidr, excluded)).violations == []) == passes


def test_a_rule_without_targets_opens_everything():
    (violation,) = judge(RULE, changed(BLOCK, "spec.egress", [{"ports": [{"port": 443}]}])).violations
    assert "opens the way to everywhere" in violation


def test_rules_that_do_not_count_and_other_directions():
    unused = changed(to_block("0.0.0.0/0", []), "spec.policyTypes", ["Ingress"])
    assert judge(RULE, unused, DENY, FROM_GATEWAY).violations == []


def test_addresses_are_a_setting():
    policy = to_block("100.100.100.0/24", [])
    assert judge(RULE, policy).violations == []
    assert len(judge(RULE, policy, config={"addresses": ["100.100.100.200"]}).violations) == 1


@pytest.mark.parametrize("odd", [7, "everything", None])
def test_odd_blocks_are_violations_and_no_crash(odd):
    (violation,) = judge(RULE, changed(BLOCK, "spec.egress.0.to.0.ipBlock.cidr", odd)).violations
    assert "expected" in violation


def test_a_setting_that_is_no_address_is_a_violation_and_no_crash():
    (violation,) = judge(RULE, BLOCK, config={"addresses": ["metadata"]}).violations
    assert violation.startswith("configuration of SEC-006: addresses.0")
