"""SEC-001: entrances past the gateway, and a public one without TLS."""

from __future__ import annotations

import pytest

from policies.rules.engines_not_exposed import RULE
from tests.policies.judging import changed, golden, judge

CHAT, SERVICE = golden("deployment-chat"), golden("service-chat")
GATEWAY, ENTRANCE = golden("deployment-gateway"), golden("service-gateway")
PUBLIC = {"public": {"hostname": "llm.example.com", "certificate": "gateway-tls"}}


def test_what_the_platform_registers_passes(configure):
    configure("gateway", {"public": None})
    assert judge(RULE, CHAT, SERVICE, GATEWAY, ENTRANCE).violations == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec.type", "LoadBalancer", "type LoadBalancer"),
        ("spec.type", "NodePort", "type NodePort"),
        ("spec.externalIPs", ["203.0.113.1"], "externalIPs"),
    ],
)
def test_each_entrance_to_an_engine(path, value, said):
    (violation,) = judge(RULE, CHAT, changed(SERVICE, path, value)).violations
    assert violation.startswith(f"Service/inference/chat: {said} leads past the gateway")


@pytest.mark.parametrize(
    ("path", "value"),
    [("metadata.namespace", "elsewhere"), ("spec.selector", {"a": "b"}), ("spec.selector", {})],
)
def test_a_service_that_leads_to_no_engine(path, value):
    entrance = changed(SERVICE, "spec.type", "LoadBalancer")
    assert judge(RULE, CHAT, changed(entrance, path, value)).violations == []


def test_a_public_gateway_opens_ports_with_tls_only(configure):
    configure("gateway", PUBLIC)
    (violation,) = judge(RULE, GATEWAY, ENTRANCE).violations
    assert violation.startswith("Service/gateway/gateway: spec.ports[0].port is 80 and the gateway is public")
    assert judge(RULE, GATEWAY, changed(ENTRANCE, "spec.ports.0.port", 443)).violations == []
    assert judge(RULE, GATEWAY, ENTRANCE, config={"tls_ports": [80]}).violations == []
    # Inside the cluster only.
    assert judge(RULE, GATEWAY, changed(ENTRANCE, "spec.type", "ClusterIP")).violations == []


@pytest.mark.parametrize("odd", [7, "yes", ["public"], None])
def test_another_programs_configuration_says_nothing(configure, odd):
    configure("gateway", odd)
    assert judge(RULE, GATEWAY, ENTRANCE).violations == []
