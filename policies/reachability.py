"""What NetworkPolicies let through, as Kubernetes defines it: who may open a connection to whom.

A pod that no policy selects for a direction is open in it. Otherwise the policies add up: one rule that fits
is enough. A connection needs the sender's side and the receiver's. What is not ruled by policies is left out:
answers, and what a machine sends to its own pods, such as probes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

from policies.labels import selects
from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.properties import Section, UnexpectedValueError

KIND = "NetworkPolicy"

Direction = Literal["Ingress", "Egress"]

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""Every namespace has it, set by the API server, with its own name as value."""

METADATA_ADDRESSES = ("169.254.169.254", "fd00:ec2::254")
"""Where a machine of AWS, Google Cloud or Azure asks for its own credentials; the second is EC2 over IPv6."""


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


@dataclass(frozen=True)
class Policy:
    """One NetworkPolicy. identity: what reports call it."""

    owner: KubernetesObject

    @property
    def identity(self) -> str:
        return self.owner.identity

    @property
    def selector(self) -> Section:
        return self.owner.spec.section("podSelector")

    def selects(self, pod: PodEnd) -> bool:
        return self.owner.namespace in (pod.namespace, None) and selects(self.selector, pod.labels)

    def isolates(self, direction: Direction) -> bool:
        """Whether it closes this direction for its pods, but for its rules.

        Without policyTypes every policy is one for Ingress, and one for Egress too if it has such rules.
        """
        if self.owner.spec.has("policyTypes"):
            return direction in self.owner.spec.texts("policyTypes")
        return direction == "Ingress" or bool(self.owner.spec.sections("egress"))

    def rules(self, direction: Direction) -> list[Section]:
        return self.owner.spec.sections(direction.lower()) if self.isolates(direction) else []

    def peers(self, rule: Section, direction: Direction) -> list[Section]:
        """Those whom a rule means; none if it means everybody."""
        return rule.sections("from" if direction == "Ingress" else "to")


def network_policies(resources: Iterable[Resource]) -> list[Policy]:
    """The NetworkPolicies among the registered resources."""
    return [Policy(found) for found in kubernetes_objects(resources, (KIND,))]


def reaches(policies: Sequence[Policy], source: End, destination: Destination) -> bool:
    """Whether `source` may open a connection there."""
    target = destination.end
    out = not isinstance(source, PodEnd) or _open(policies, source, "Egress", target, destination)
    return out and (not isinstance(target, PodEnd) or _open(policies, target, "Ingress", source, destination))


def _open(
    policies: Sequence[Policy], pod: PodEnd, direction: Direction, other: End, destination: Destination
) -> bool:
    closing = [policy for policy in policies if policy.selects(pod) and policy.isolates(direction)]
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


def block_holds(block: Section, address: IPv4Address | IPv6Address) -> bool:
    """Whether an ipBlock means this address."""
    excluded = [
        _network(text, f"{block.at('except')}[{index}]") for index, text in enumerate(block.texts("except"))
    ]
    return address in network(block) and not any(address in other for other in excluded)


def network(block: Section) -> IPv4Network | IPv6Network:
    """The network of an ipBlock, without its exceptions."""
    return _network(block.text("cidr"), block.at("cidr"))


def _network(text: str | None, path: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text or "", strict=False)
    except ValueError:
        raise UnexpectedValueError(path, text, "a network such as 10.0.0.0/8") from None
