"""SEC-002: who may reach an engine."""

from __future__ import annotations

from typing import Any

import pytest

from policies.rules.engines_reached_through_gateway_only import RULE
from tests.policies.cases import DENY, FROM_GATEWAY
from tests.policies.judging import changed, golden, judge

CHAT = golden("deployment-chat")
FROM = "spec.ingress.0.from"


def with_peers(*peers: dict[str, Any]) -> list[str]:
    return judge(RULE, CHAT, DENY, changed(FROM_GATEWAY, FROM, list(peers))).violations


def test_the_gateway_and_prometheus_pass():
    prometheus = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
    assert with_peers({"namespaceSelector": {}, **prometheus}) == []
    assert judge(RULE, CHAT, DENY, FROM_GATEWAY, golden("deployment-gateway")).violations == []


@pytest.mark.parametrize(
    "peer",
    [
        {"podSelector": {}},
        {"namespaceSelector": {}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}},
        {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "other"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
        {"ipBlock": {"cidr": "0.0.0.0/0"}},
        {"ipBlock": {"cidr": "::/0"}},
    ],
)
def test_any_other_peer_is_more_than_them(peer):
    (violation,) = with_peers(peer)
    assert "lets in more than the gateway and Prometheus: spec.ingress[0].from[0]" in violation


def test_a_rule_without_peers_lets_everybody_in():
    (violation,) = with_peers()
    assert "lets everybody in" in violation


def test_a_rule_without_ports_opens_all():
    (violation,) = judge(RULE, CHAT, DENY, changed(FROM_GATEWAY, "spec.ingress.0.ports", [])).violations
    assert "opens every port" in violation


@pytest.mark.parametrize(
    "policy",
    [
        changed(DENY, "metadata.namespace", "elsewhere"),
        changed(DENY, "spec.policyTypes", ["Egress"]),
        changed(DENY, "spec.podSelector", {"matchLabels": {"app": "other"}}),
    ],
)
def test_a_policy_for_others_closes_nothing(policy):
    (violation,) = judge(RULE, CHAT, policy).violations
    assert "no NetworkPolicy closes its pods" in violation


def test_networks_that_nobody_comes_from_and_those_that_settings_name():
    machine = {"ipBlock": {"cidr": "127.0.0.1/32"}}
    assert with_peers(machine) == []
    outside = changed(FROM_GATEWAY, FROM, [{"ipBlock": {"cidr": "10.1.0.0/16"}}])
    assert len(judge(RULE, CHAT, DENY, outside).violations) == 1
    assert judge(RULE, CHAT, DENY, outside, config={"networks": ["10.0.0.0/8"]}).violations == []


def test_callers_are_a_setting():
    assert len(judge(RULE, CHAT, DENY, FROM_GATEWAY, config={"callers": ["router"]}).violations) == 1


def test_pods_without_an_engine_are_left_alone():
    assert judge(RULE, golden("deployment-gateway"), golden("job-verify")).violations == []


def test_a_setting_that_is_no_network_is_a_violation_and_no_crash():
    (violation,) = judge(RULE, CHAT, DENY, FROM_GATEWAY, config={"networks": ["10.0.0.1/8"]}).violations
    assert violation.startswith("configuration of SEC-002: networks.0")
