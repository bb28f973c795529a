"""What a flow becomes, and what no flow may become by an oversight."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cluster import LINK_LOCAL, Addresses, Pods, outside
from infra.network_policies import Flow, NetworkPolicies, NetworkPoliciesArgs, Port, policy_specs
from stacks.commands import recording
from tests.recording import record
from tests.serving.contracts import cluster_contract

ONE, TWO = Pods("one", {"app": "a"}), Pods("two", {"app": "b"})


def flow(**changes: object) -> Flow:
    fields: dict[str, object] = {
        "name": "a-to-b",
        "why": "a test",
        "sources": (ONE,),
        "targets": (TWO,),
        "ports": (Port(80),),
        **changes,
    }
    return Flow(**fields)  # pyright: ignore[reportArgumentType]


def test_without_flows_everything_is_refused():
    assert policy_specs("one", ()) == {
        "one-default-deny": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }


def test_a_flow_opens_both_ends_each_in_its_own_namespace():
    one, two = (policy_specs(name, [flow(service_ports=(Port(8080),))]) for name in ("one", "two"))
    assert set(one) == {"one-default-deny", "a-to-b-out"}
    assert set(two) == {"two-default-deny", "a-to-b-in"}
    assert one["a-to-b-out"] == {
        "podSelector": {"matchLabels": {"app": "a"}},
        "policyTypes": ["Egress"],
        "egress": [
            {
                "to": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "two"}},
                        "podSelector": {"matchLabels": {"app": "b"}},
                    }
                ],
                # Who receives sees the port behind the Service; who sends may be judged before it.
                "ports": [{"protocol": "TCP", "port": 80}, {"protocol": "TCP", "port": 8080}],
            }
        ],
    }
    assert two["a-to-b-in"]["ingress"] == [
        {
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "one"}},
                    "podSelector": {"matchLabels": {"app": "a"}},
                }
            ],
            "ports": [{"protocol": "TCP", "port": 80}],
        }
    ]


def test_outside_excludes_the_cluster_and_every_link_local_address():
    spec = policy_specs("one", [flow(targets=(outside(("10.0.0.0/8",)),))])["a-to-b-out"]
    assert spec["egress"] == [
        {
            "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [LINK_LOCAL, "127.0.0.0/8", "10.0.0.0/8"]}}],
            "ports": [{"protocol": "TCP", "port": 80}],
        }
    ]


def test_an_exception_outside_its_network_is_left_out():
    target = Addresses(("10.0.0.0/8", "fd00::/8"), ("10.1.0.0/16", "192.168.0.0/16", "10.0.0.0/8"))
    spec = policy_specs("one", [flow(targets=(target,))])["a-to-b-out"]
    assert spec["egress"] == [
        {
            "to": [
                {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                {"ipBlock": {"cidr": "fd00::/8"}},
            ],
            "ports": [{"protocol": "TCP", "port": 80}],
        }
    ]


@pytest.mark.parametrize("missing", ["sources", "targets", "ports"])
def test_an_empty_list_would_mean_everything_and_is_refused(missing):
    # Seen from the other end, where there is one.
    namespace = "two" if missing == "sources" else "one"
    with pytest.raises(ValueError, match="a flow without"):
        policy_specs(namespace, [flow(**{missing: ()})])


def test_two_ends_in_one_namespace_would_replace_each_other():
    with pytest.raises(ValueError, match="two ends in one"):
        policy_specs("one", [flow(sources=(ONE, Pods("one", {"app": "c"})))])


def test_a_stack_from_before_keeps_its_policies(monkeypatch):
    """The component's type changed: the engine is told the one that the state of such a stack has."""
    aliases: dict[str, str] = {}
    monitor: Any = vars(recording)["_Monitor"]
    register = monitor.RegisterResource

    def noted(self: object, request: Any) -> Any:
        aliases[request.type] = str(request.aliases) + str(request.aliasURNs)
        return register(self, request)

    monkeypatch.setattr(monitor, "RegisterResource", noted)

    def program() -> None:
        NetworkPolicies("a", NetworkPoliciesArgs(cluster_contract(), "a", ()))

    record(program)
    assert "llm-platform:infra:Walls" in aliases["llm-platform:infra:NetworkPolicies"]
