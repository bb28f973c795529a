"""NetworkPolicies from a table of flows: nothing gets in or out of a namespace but what a flow names. Pure.

Each flow opens both sides: it lets packets out of its source, and into its target, where they are pods of ours.
Peers outside our namespaces keep their own rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

from infra.network import Addresses, Peer, Pods, Port

networking = k8s.networking.v1

DEFAULT_DENY = "default-deny"

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""The API server puts it on every namespace, with the namespace's name."""


@dataclass(frozen=True)
class Flow:
    """What may open connections where, and why.

    ports: of the target's pods. service_ports: of a Service before it, if they differ: Amazon's VPC CNI looks at
    packets before the Service's address is replaced, and would stop them.
    """

    source: Peer
    target: Peer
    ports: tuple[Port, ...]
    why: str
    service_ports: tuple[Port, ...] = ()


@dataclass(frozen=True)
class NamedPolicy:
    """A NetworkPolicy of a namespace by its name."""

    name: str
    spec: k8s.networking.v1.NetworkPolicySpecArgs


def network_policies(namespace: str, flows: Iterable[Flow]) -> list[NamedPolicy]:
    """The policies of a namespace: one that denies all, and one for each of its workloads in `flows`."""
    flows = list(flows)
    found = [
        NamedPolicy(
            DEFAULT_DENY,
            networking.NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
            ),
        )
    ]
    for pods in _workloads(namespace, flows):
        incoming = [_ingress(flow) for flow in flows if flow.target == pods]
        outgoing = [_egress(flow) for flow in flows if flow.source == pods]
        found.append(
            NamedPolicy(
                pods.called.replace(" ", "-"),
                networking.NetworkPolicySpecArgs(
                    pod_selector=_selector(pods.labels),
                    # Both are denied already; a type without rules would only deny it once more.
                    policy_types=[*(["Ingress"] if incoming else []), *(["Egress"] if outgoing else [])],
                    ingress=incoming or None,
                    egress=outgoing or None,
                ),
            )
        )
    return found


def _workloads(namespace: str, flows: Sequence[Flow]) -> list[Pods]:
    found: list[Pods] = []
    for flow in flows:
        for peer in (flow.source, flow.target):
            if isinstance(peer, Pods) and peer.namespace == namespace and peer not in found:
                found.append(peer)
    return found


def _ingress(flow: Flow) -> k8s.networking.v1.NetworkPolicyIngressRuleArgs:
    return networking.NetworkPolicyIngressRuleArgs(from_=_peers(flow.source), ports=_ports(flow.ports))


def _egress(flow: Flow) -> k8s.networking.v1.NetworkPolicyEgressRuleArgs:
    return networking.NetworkPolicyEgressRuleArgs(
        to=_peers(flow.target), ports=_ports((*flow.ports, *flow.service_ports))
    )


def _peers(peer: Peer) -> list[k8s.networking.v1.NetworkPolicyPeerArgs]:
    if isinstance(peer, Addresses):
        return [
            networking.NetworkPolicyPeerArgs(
                ip_block=networking.IPBlockArgs(cidr=network, except_=_inside(network, peer.excluded))
            )
            for network in peer.networks
        ]
    return [
        networking.NetworkPolicyPeerArgs(
            namespace_selector=_selector({} if peer.namespace is None else {NAMESPACE_LABEL: peer.namespace}),
            pod_selector=_selector(peer.labels) if peer.labels else None,
        )
    ]


def _inside(network: str, excluded: Sequence[str]) -> list[str] | None:
    """The API server refuses an exception that is not part of its network: IPv6 in IPv4, for example."""
    found = [other for other in excluded if (":" in other) == (":" in network)]
    return found or None


def _selector(labels: Mapping[str, str]) -> LabelSelectorArgs:
    return LabelSelectorArgs(match_labels=labels) if labels else LabelSelectorArgs()


def _ports(ports: Sequence[Port]) -> list[k8s.networking.v1.NetworkPolicyPortArgs]:
    # Numbers and not names: some network plugins resolve a name for one direction only.
    return [
        networking.NetworkPolicyPortArgs(port=port.number, protocol=port.protocol)
        for port in sorted(set(ports), key=lambda port: (port.protocol, port.number))
    ]
