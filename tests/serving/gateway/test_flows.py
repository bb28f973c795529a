"""The table of flows in docs/security.md is the one that network policies are built from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infra.cluster import Addresses, Peer
from infra.network_policies import Flow
from serving.engines.vllm import VLLM
from serving.gateway.flows import flows
from tests.serving.contracts import cluster_network

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"


def said(peer: Peer) -> str:
    if isinstance(peer, Addresses):
        excluded = f" except {', '.join(peer.excluded)}" if peer.excluded else ""
        return f"{', '.join(peer.networks)}{excluded}"
    labels = ", ".join(f"{key.rpartition('/')[2]}={value}" for key, value in peer.labels.items())
    return f"{peer.namespace or 'any namespace'}: {labels or 'every pod'}"


def listed(peers: Sequence[Peer]) -> str:
    return "; ".join(said(peer) for peer in peers)


def row(flow: Flow) -> str:
    ports = ", ".join(f"{port.number}/{port.protocol}" for port in flow.ports)
    return f"| {flow.name} | {listed(flow.sources)} | {listed(flow.targets)} | {ports} | {flow.why} |"


def test_the_document_has_each_flow_and_no_other():
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = lines.index("|---|---|---|---|---|") + 1
    found = lines[start : lines.index("", start)]
    assert found == [row(flow) for flow in flows(cluster_network(), "internal", [VLLM])]
