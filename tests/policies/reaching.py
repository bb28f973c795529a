"""Who may open a connection to whom, as Kubernetes defines NetworkPolicies.

A pod that no policy selects for a direction is open in it. Otherwise the policies add up: one rule that fits
is enough. A connection needs the sender's side and the receiver's. What is not ruled by policies is left out:
answers, and what a machine sends to its own pods, such as probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from infra.network_policies import NAMESPACE_NAME_LABEL
from policies.labels import selects
from policies.properties import Section
from policies.reachability import Direction, Policy, block_holds


@dataclass(frozen=True)
class PodEnd:
    """A pod as one end of a connection. ports: numbers of its named ports.

    Its address is not known, so no ipBlock means it: Kubernetes leaves open whether one does.
    """

    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)

    def labels_of_namespace(self) -> Mapping[str, str]:
        return {**self.namespace_labels, NAMESPACE_NAME_LABEL: self.namespace}


@dataclass(frozen=True)
class AddressEnd:
    """An address outside the cluster's pods."""

    address: IPv4Address | IPv6Address


End = PodEnd | AddressEnd


@dataclass(frozen=True)
class Destination:
    """Where a connection goes."""

    end: End
    port: int
    protocol: str = "TCP"


def reaches(policies: Sequence[Policy], source: End, destination: Destination) -> bool:
    """Whether `source` may open a connection there."""
    target = destination.end
    out = not isinstance(source, PodEnd) or _open(policies, source, "Egress", target, destination)
    return out and (not isinstance(target, PodEnd) or _open(policies, target, "Ingress", source, destination))


def _open(
    policies: Sequence[Policy], pod: PodEnd, direction: Direction, other: End, destination: Destination
) -> bool:
    closing = [policy for policy in policies if selects_pod(policy, pod) and policy.isolates(direction)]
    return not closing or any(
        _fits(policy, rule, direction, other, destination)
        for policy in closing
        for rule in policy.rules(direction)
    )


def _fits(policy: Policy, rule: Section, direction: Direction, other: End, destination: Destination) -> bool:
    ports = rule.sections("ports")
    if ports and not any(_port_fits(port, destination) for port in ports):
        return False
    peers = policy.peers(rule, direction)
    return not peers or any(_peer_fits(peer, policy.owner.namespace, other) for peer in peers)


def _port_fits(port: Section, destination: Destination) -> bool:
    if (port.text("protocol") or "TCP") != destination.protocol:
        return False
    wanted = port.values.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str) and not wanted.isdigit():
        end = destination.end
        return isinstance(end, PodEnd) and end.ports.get(wanted) == destination.port
    first, last = port.number("port"), port.number("endPort")
    return first is not None and first <= destination.port <= (first if last is None else last)


def _peer_fits(peer: Section, namespace: str | None, other: End) -> bool:
    if peer.has("ipBlock"):
        block = peer.section("ipBlock")
        return isinstance(other, AddressEnd) and block_holds(block, other.address)
    if not isinstance(other, PodEnd):
        return False
    if peer.has("namespaceSelector"):
        if not selects(peer.section("namespaceSelector"), other.labels_of_namespace()):
            return False
    elif namespace not in (other.namespace, None):
        return False
    return not peer.has("podSelector") or selects(peer.section("podSelector"), other.labels)


def selects_pod(policy: Policy, pod: PodEnd) -> bool:
    return policy.owner.namespace in (pod.namespace, None) and selects(policy.selector, pod.labels)
