"""SEC-006: no NetworkPolicy opens the way to the address that hands out a machine's credentials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Annotated

from pulumi_policy import EnforcementLevel, Severity
from pydantic import AfterValidator, Field

from policies.objects import Resource
from policies.reachability import METADATA_ADDRESSES, Policy, block_holds, network_policies
from policies.rule import Report, Rule, Settings


def _address(text: str) -> str:
    return str(ip_address(text))


Address = Annotated[str, AfterValidator(_address)]


class Sec006Settings(Settings):
    addresses: tuple[Address, ...] = Field(
        default=METADATA_ADDRESSES, description="addresses where machines ask for their credentials"
    )


def subjects(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    return [(policy.identity, policy.owner.urn) for policy in network_policies(resources)]


def judge(resources: Sequence[Resource], settings: Sec006Settings, report: Report) -> None:
    for policy in network_policies(resources):
        with report.judging(policy.identity, policy.owner.urn) as violation:
            for message in _openings(policy, settings.addresses):
                violation(message)


def _openings(policy: Policy, addresses: Sequence[str]) -> Iterator[str]:
    for rule in policy.rules("Egress"):
        peers = policy.peers(rule, "Egress")
        if not peers:
            yield (
                f"{rule.path} opens the way to everywhere, {' and '.join(addresses)} included: name the "
                "targets in `to`"
            )
        for peer in peers:
            if not peer.has("ipBlock"):
                continue
            block = peer.section("ipBlock")
            held = [address for address in addresses if block_holds(block, ip_address(address))]
            if held:
                yield (
                    f"{block.path} holds {', '.join(held)}, where a machine gets its credentials: add it to "
                    "`except`"
                )


RULE = Rule(
    id="SEC-006",
    description="No NetworkPolicy lets pods reach a metadata address.",
    remediation="Add 169.254.0.0/16 to the exceptions of the ipBlock. Where a cloud gives pods their "
    "identity at that address (GKE), waive the one policy that opens it for the Jobs that read buckets.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="resource",
    settings=Sec006Settings,
    subjects=subjects,
    judge=judge,
)
