"""Network policies between workloads: nothing goes in or out of a namespace but the flows that are named.

A flow becomes two NetworkPolicies, one at each end that lies in a namespace of ours: Kubernetes lets a
connection through only if the sender's policies and the receiver's both do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal, cast

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import Cluster, Peer, Pods

DEFAULT_DENY = "default-deny"
"""End of the name of the policy that refuses whatever no other lets through."""

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""Every namespace has it, set by the API server, with its own name as value."""


@dataclass(frozen=True)
class Port:
    """A port of the receiving pod or machine, behind whatever Service there is."""

    number: int
    protocol: Literal["TCP", "UDP"] = "TCP"


@dataclass(frozen=True)
class Flow:
    """One kind of connection that is let through: sources open it to any of targets, at any of ports.

    name: also of its policies. why: half a sentence for whoever reads the table.
    service_ports: of the Service in between, where they differ. Amazon's VPC CNI looks at a packet before
    the Service's address is replaced.
    """

    name: str
    why: str
    sources: tuple[Peer, ...]
    targets: tuple[Peer, ...]
    ports: tuple[Port, ...]
    service_ports: tuple[Port, ...] = ()


def policy_specs(namespace: str, flows: Sequence[Flow]) -> Mapping[str, Mapping[str, object]]:
    """Specs of the NetworkPolicies in `namespace`, by name."""
    specs: dict[str, Mapping[str, object]] = {
        f"{namespace}-{DEFAULT_DENY}": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }
    for flow in flows:
        for suffix, spec in _ends(namespace, flow):
            name = f"{flow.name}-{suffix}"
            if name in specs:
                raise ValueError(f"flow {flow.name} has two ends in {namespace}: give each a flow of its own")
            specs[name] = spec
    return specs


def _ends(namespace: str, flow: Flow) -> Iterator[tuple[str, Mapping[str, object]]]:
    for target in _ours(namespace, flow.targets):
        rule = {"from": _peers(flow.sources), "ports": _ports(flow.ports)}
        yield "in", _policy(target, {"policyTypes": ["Ingress"], "ingress": [rule]})
    for source in _ours(namespace, flow.sources):
        rule = {"to": _peers(flow.targets), "ports": _ports((*flow.ports, *flow.service_ports))}
        yield "out", _policy(source, {"policyTypes": ["Egress"], "egress": [rule]})


def _ours(namespace: str, peers: Sequence[Peer]) -> Iterator[Pods]:
    return (peer for peer in peers if isinstance(peer, Pods) and peer.namespace == namespace)


def _policy(pods: Pods, rules: Mapping[str, object]) -> Mapping[str, object]:
    return {"podSelector": {"matchLabels": dict(pods.labels)} if pods.labels else {}, **rules}


def _ports(ports: Sequence[Port]) -> list[Mapping[str, object]]:
    if not ports:
        raise ValueError("a flow without ports would open every port")
    # Numbers: not every network plugin resolves a name in both directions.
    return [{"protocol": port.protocol, "port": port.number} for port in ports]


def _peers(peers: Sequence[Peer]) -> list[Mapping[str, object]]:
    if not peers:
        # Kubernetes takes an empty list for everything.
        raise ValueError("a flow without a source or a target would let everything through")
    return [found for peer in peers for found in _peer(peer)]


def _peer(peer: Peer) -> Iterator[Mapping[str, object]]:
    if isinstance(peer, Pods):
        namespaces = {"matchLabels": {NAMESPACE_NAME_LABEL: peer.namespace}} if peer.namespace else {}
        selected = {"podSelector": {"matchLabels": dict(peer.labels)}} if peer.labels else {}
        yield {"namespaceSelector": namespaces, **selected}
        return
    for network in peer.networks:
        excluded = [other for other in peer.excluded if _inside(other, network)]
        yield {"ipBlock": {"cidr": network, **({"except": excluded} if excluded else {})}}


def _inside(part: str, whole: str) -> bool:
    """Whether the API server takes it for an exception: it refuses what is no part of the network."""
    inner, outer = ip_network(part), ip_network(whole)
    return inner.version == outer.version and inner != outer and inner[0] in outer and inner[-1] in outer


@dataclass
class NetworkPoliciesArgs:
    """cluster, namespace: where they are registered. flows: all; each namespace takes its ends."""

    cluster: Cluster
    namespace: str
    flows: Sequence[Flow]


class NetworkPolicies(pulumi.ComponentResource):
    """The NetworkPolicies of one namespace, the refusal of everything else among them."""

    def __init__(
        self, name: str, args: NetworkPoliciesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # Its type before: with the alias an existing stack replaces nothing, and no namespace is open.
        before = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_="llm-platform:infra:Walls")])
        opts = pulumi.ResourceOptions.merge(opts, before)
        super().__init__("llm-platform:infra:NetworkPolicies", name, {}, opts)
        for policy, spec in policy_specs(args.namespace, args.flows).items():
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{policy}",
                metadata=ObjectMetaArgs(
                    name=policy,
                    namespace=args.namespace,
                    labels={"app.kubernetes.io/managed-by": "pulumi"},
                ),
                # Written as Kubernetes documents it: `from` and `except` are Python's own words.
                spec=cast(k8s.networking.v1.NetworkPolicySpecArgsDict, spec),
                opts=pulumi.ResourceOptions(parent=self, provider=args.cluster.provider),
            )
        self.register_outputs({})
