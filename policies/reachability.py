"""NetworkPolicies among the registered resources: which directions they close, and what their rules allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Literal

from policies.objects import KubernetesObject, Resource, kubernetes_objects
from policies.properties import Section, UnexpectedValueError

KIND = "NetworkPolicy"

Direction = Literal["Ingress", "Egress"]

METADATA_ADDRESSES = ("169.254.169.254", "fd00:ec2::254")
"""Where a machine of AWS, Google Cloud or Azure asks for its own credentials; the second is EC2 over IPv6."""


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
