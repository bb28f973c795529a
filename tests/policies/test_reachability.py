"""Reachability over NetworkPolicies: cases of the Kubernetes documentation, and what must always hold."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.properties import UnexpectedValueError
from policies.reachability import Policy, network_policies
from tests.policies.judging import registered
from tests.policies.reaching import AddressEnd, Destination, PodEnd, reaches, selects_pod

DB = PodEnd("default", {"role": "db"}, ports={"postgres": 6379})
FRONTEND = PodEnd("default", {"role": "frontend"})
OTHER = PodEnd("default", {"role": "other"})
IN_PROJECT = PodEnd("theirs", {"role": "any"}, namespace_labels={"project": "myproject"})
ELSEWHERE = PodEnd("elsewhere", {"role": "frontend"})


def address(text: str) -> AddressEnd:
    return AddressEnd(ip_address(text))


def policies(*specs: dict[str, Any], namespace: str = "default") -> list[Policy]:
    manifests = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"policy-{index}", "namespace": namespace},
            "spec": spec,
        }
        for index, spec in enumerate(specs)
    ]
    return network_policies([registered(manifest) for manifest in manifests])


# The example of https://kubernetes.io/docs/concepts/services-networking/network-policies/
DOCUMENTED = {
    "podSelector": {"matchLabels": {"role": "db"}},
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [
        {
            "from": [
                {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}},
                {"namespaceSelector": {"matchLabels": {"project": "myproject"}}},
                {"podSelector": {"matchLabels": {"role": "frontend"}}},
            ],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }
    ],
    "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"protocol": "TCP", "port": 5978}]}],
}


@pytest.mark.parametrize(
    ("source", "target", "port", "protocol", "open_"),
    [
        (FRONTEND, DB, 6379, "TCP", True),
        (FRONTEND, DB, 6380, "TCP", False),
        (FRONTEND, DB, 6379, "UDP", False),
        (OTHER, DB, 6379, "TCP", False),
        (IN_PROJECT, DB, 6379, "TCP", True),
        (ELSEWHERE, DB, 6379, "TCP", False),
        (address("172.17.0.255"), DB, 6379, "TCP", True),
        (address("172.17.2.0"), DB, 6379, "TCP", True),
        (address("172.17.1.7"), DB, 6379, "TCP", False),
        (address("172.18.0.1"), DB, 6379, "TCP", False),
        (DB, address("10.0.0.9"), 5978, "TCP", True),
        (DB, address("10.0.0.9"), 5979, "TCP", False),
        (DB, address("10.0.1.9"), 5978, "TCP", False),
        (DB, FRONTEND, 5978, "TCP", False),
        (FRONTEND, OTHER, 80, "TCP", True),
    ],
)
def test_the_documented_example(source, target, port, protocol, open_):
    assert reaches(policies(DOCUMENTED), source, Destination(target, port, protocol)) == open_


EVERY_POD: dict[str, Any] = {"podSelector": {}}


@pytest.mark.parametrize(
    ("spec", "inwards", "outwards"),
    [
        ({**EVERY_POD, "policyTypes": ["Ingress"]}, False, True),
        ({**EVERY_POD, "policyTypes": ["Egress"]}, True, False),
        ({**EVERY_POD, "policyTypes": ["Ingress", "Egress"]}, False, False),
        # Defaults of policyTypes.
        (EVERY_POD, False, True),
        ({**EVERY_POD, "egress": []}, False, True),
        ({**EVERY_POD, "egress": [{}]}, False, True),
        ({**EVERY_POD, "egress": [{"ports": [{"port": 1}]}]}, False, False),
        # An empty rule and a rule without peers let everything through.
        ({**EVERY_POD, "policyTypes": ["Ingress"], "ingress": [{}]}, True, True),
        ({**EVERY_POD, "policyTypes": ["Ingress"], "ingress": [{"from": []}]}, True, True),
        (
            {**EVERY_POD, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]},
            False,
            True,
        ),
        (
            {**EVERY_POD, "policyTypes": ["Ingress"], "ingress": [{"from": [{"namespaceSelector": {}}]}]},
            True,
            True,
        ),
        # Rules of a type that is not named do not count.
        ({**EVERY_POD, "policyTypes": ["Ingress"], "egress": []}, False, True),
    ],
)
def test_defaults_and_empty_selectors(spec, inwards, outwards):
    found = policies(spec)
    assert reaches(found, ELSEWHERE, Destination(DB, 80)) == inwards
    assert reaches(found, DB, Destination(ELSEWHERE, 80)) == outwards


@pytest.mark.parametrize(
    ("peer", "ours", "theirs"),
    [
        # Both selectors in one entry: pods with the label in such namespaces. In two entries: either.
        ([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "any"}}}], False, True),
        ([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "theirs"}}}], False, True),
        ([{"namespaceSelector": {"matchLabels": {"a": "b"}}}, {"podSelector": {}}], True, False),
    ],
)
def test_selectors_in_one_entry_and_in_two(peer, ours, theirs):
    found = policies({**EVERY_POD, "ingress": [{"from": peer}]})
    assert reaches(found, FRONTEND, Destination(DB, 80)) == ours
    assert reaches(found, IN_PROJECT, Destination(DB, 80)) == theirs


@pytest.mark.parametrize(
    ("port", "fits"),
    [
        ({}, True),
        ({"port": "postgres"}, True),
        ({"port": "other"}, False),
        ({"port": 6000, "endPort": 6379}, True),
        ({"port": 6000, "endPort": 6378}, False),
        ({"port": 6379, "protocol": "SCTP"}, False),
    ],
)
def test_ports(port, fits):
    found = policies({**EVERY_POD, "ingress": [{"ports": [port]}]})
    assert reaches(found, ELSEWHERE, Destination(DB, 6379)) == fits


def test_both_sides_must_let_a_connection_through():
    out = {"podSelector": {"matchLabels": {"role": "frontend"}}, "policyTypes": ["Egress"]}
    assert not reaches(policies(DOCUMENTED, out), FRONTEND, Destination(DB, 6379))
    to_db = {**out, "egress": [{"to": [{"podSelector": {"matchLabels": {"role": "db"}}}]}]}
    assert reaches(policies(DOCUMENTED, out, to_db), FRONTEND, Destination(DB, 6379))


def test_policies_of_another_namespace_do_not_count():
    found = policies({**EVERY_POD, "policyTypes": ["Ingress", "Egress"]}, namespace="elsewhere")
    assert reaches(found, FRONTEND, Destination(DB, 6379))


@pytest.mark.parametrize("cidr", ["300.0.0.0/8", "", "10.0.0.0/64"])
def test_a_block_that_is_no_network(cidr):
    found = policies({**EVERY_POD, "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}]}]})
    with pytest.raises(UnexpectedValueError, match="expected a network"):
        reaches(found, address("10.0.0.1"), Destination(DB, 80))


LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2)
SELECTORS = LABELS.map(lambda labels: {"matchLabels": labels} if labels else {})
NAMESPACES = st.sampled_from(["default", "elsewhere"])
PORTS = st.integers(1, 4)
PODS = st.builds(PodEnd, NAMESPACES, LABELS)
ENDS = PODS | st.sampled_from(["10.0.0.1", "10.0.1.1", "2001:db8::1"]).map(address)
PEERS = st.one_of(
    SELECTORS.map(lambda selector: {"podSelector": selector}),
    SELECTORS.map(lambda selector: {"namespaceSelector": {}, "podSelector": selector}),
    st.sampled_from(
        [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.1.0/24"]}},
            {"ipBlock": {"cidr": "10.0.0.0/8"}},
            {"ipBlock": {"cidr": "::/0"}},
        ]
    ),
)
PORT_LISTS = st.lists(PORTS.map(lambda port: {"port": port, "endPort": port + 1}), max_size=2)


def rules(key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    rule = st.fixed_dictionaries({key: st.lists(PEERS, max_size=2), "ports": PORT_LISTS})
    return st.lists(rule, max_size=2)


SPECS = st.fixed_dictionaries(
    {
        "podSelector": SELECTORS,
        "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
        "ingress": rules("from"),
        "egress": rules("to"),
    }
)
DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@given(specs=st.lists(SPECS, max_size=3), added=SPECS, source=ENDS, target=ENDS, port=PORTS)
def test_where_everything_is_denied_another_policy_only_opens(specs, added, source, target, port):
    before, after = policies(DENY, *specs), policies(DENY, *specs, added)
    there = Destination(target, port)
    inside = [end for end in (source, target) if isinstance(end, PodEnd) and end.namespace == "default"]
    if inside == [end for end in (source, target) if isinstance(end, PodEnd)]:
        assert reaches(after, source, there) or not reaches(before, source, there)


@given(specs=st.lists(SPECS, max_size=3), source=ENDS, target=ENDS, port=PORTS)
def test_a_denial_alone_isolates_and_never_opens(specs, source, target, port):
    there = Destination(target, port)
    concerned = [end for end in (source, target) if isinstance(end, PodEnd) and end.namespace == "default"]
    assert reaches(policies(DENY), source, there) == (concerned == [])
    assert reaches(policies(*specs), source, there) or not reaches(policies(*specs, DENY), source, there)


@given(specs=st.lists(SPECS, max_size=3), source=ENDS, target=ENDS, port=PORTS, order=st.randoms())
def test_the_order_of_policies_does_not_count(specs, source, target, port, order):
    shuffled = order.sample(specs, len(specs))
    there = Destination(target, port)
    assert reaches(policies(*specs), source, there) == reaches(policies(*shuffled), source, there)


@given(specs=st.lists(SPECS, max_size=2), source=ENDS, target=ENDS, port=PORTS)
def test_an_end_without_policies_leaves_the_decision_to_the_other(specs, source, target, port):
    found = policies(*specs)
    free = PodEnd("free", {})
    both = reaches(found, source, Destination(target, port))
    # Whoever is refused by both ends is refused by one of them against somebody who has no walls at all.
    selected = [
        end for end in (source, target) if isinstance(end, PodEnd) and any(selects_pod(p, end) for p in found)
    ]
    if not selected:
        assert both
    assert reaches(found, free, Destination(free, port))
