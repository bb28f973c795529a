"""Who reaches whom, over everything that each stack registers: the named flows, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest

from infra.network_policies import policy_specs
from policies.pods import pod_of, pod_owners
from policies.reachability import Policy, network_policies
from serving.engines.vllm import VLLM
from serving.gateway.flows import BUCKET_READERS, ENGINES, GATEWAYS, STAGING_JOBS, VERIFICATION, flows
from serving.names import GATEWAY_NAMESPACE, INFERENCE_NAMESPACE
from stacks import program
from stacks.load import STACKS, from_file
from stacks.plan.catalogue import with_prices_stated
from tests.policies.judging import registered
from tests.policies.reaching import AddressEnd, Destination, End, PodEnd, reaches
from tests.recording import Recording, record
from tests.serving.contracts import cluster_network
from tests.stacks.environments import stack_on
from tests.stacks.program.renderings import warm_values

STRANGERS: dict[str, End] = {
    "a stranger": PodEnd("default", {"app.kubernetes.io/component": "gateway"}),
    "a stranger beside the engines": PodEnd(INFERENCE_NAMESPACE, {"app": "x"}),
    "a stranger beside the gateway": PodEnd(GATEWAY_NAMESPACE, {"app": "x"}),
    "dns": PodEnd("kube-system", {"k8s-app": "kube-dns"}),
    "another pod of kube-system": PodEnd("kube-system", {"k8s-app": "metrics-server"}),
    "prometheus": PodEnd("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "this machine": AddressEnd(ip_address("127.0.0.1")),
    "the internet": AddressEnd(ip_address("8.8.8.8")),
    "the network": AddressEnd(ip_address("10.1.2.3")),
    "metadata": AddressEnd(ip_address("169.254.169.254")),
    "metadata over IPv6": AddressEnd(ip_address("fd00:ec2::254")),
    "identity": AddressEnd(ip_address("169.254.170.23")),
}

PORTS = (53, 80, 443, 8000, 8080, 9090, 9901, 9902, 10250)

DNS = {
    (source, "dns", 53, protocol)
    for source in ("engine", "gateway", "staging", "verification")
    for protocol in ("TCP", "UDP")
}
INSIDE = {("gateway", "engine", 8000, "TCP"), ("verification", "gateway", 8080, "TCP")}

LOCAL = {
    *DNS,
    *INSIDE,
    ("this machine", "gateway", 8080, "TCP"),
    ("this machine", "engine", 8000, "TCP"),
    ("this machine", "gateway", 9902, "TCP"),
    ("verification", "this machine", 9090, "TCP"),
    ("staging", "this machine", 80, "TCP"),
}
"""Prometheus, the hub and clients are processes of the machine there. The hub of the tests has port 80."""


def reachable(policies: Sequence[Policy], ours: dict[str, End]) -> set[tuple[str, str, int, str]]:
    """Every connection with one of our pods at one end at least."""
    ends = {**STRANGERS, **ours}
    return {
        (source, target, port, protocol)
        for source, first in ends.items()
        for target, second in ends.items()
        if source != target and (source in ours or target in ours)
        for port in PORTS
        for protocol in ("TCP", "UDP")
        if reaches(policies, first, Destination(second, port, protocol))
    }


NAMES = (*sorted(path.name.split(".")[1] for path in STACKS.glob("Pulumi.*.yaml")), "warm nodes")


@pytest.fixture(scope="module", params=NAMES)
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """What a stack registers, on the local cluster if its own cannot be built yet."""
    stack = request.param
    local = stack_on(
        tmp_path_factory.mktemp("walls") / "kubeconfig", warm_values() if stack == "warm nodes" else None
    )
    if stack not in ("local", "warm nodes"):
        other = from_file(stack)
        gateway = other.gateway.model_copy(update={"tokens": local.gateway.tokens})
        local = with_prices_stated(other).model_copy(update={"cluster": local.cluster, "gateway": gateway})
    return record(lambda: program.export(program.build(local)))


def components(recording: Recording) -> dict[str, End]:
    """One pod of each component, as its workload describes it."""
    found: dict[str, End] = {}
    for owner in pod_owners([registered(resource.inputs) for resource in manifests(recording)]):
        labels = pod_of(owner).labels()
        assert owner.namespace is not None
        found[labels["app.kubernetes.io/component"]] = PodEnd(owner.namespace, labels)
    return found


def manifests(recording: Recording) -> list[Any]:
    return [resource for resource in recording if "metadata" in resource.inputs]


def test_exactly_the_named_flows_are_possible(recording: Recording):
    policies = network_policies([registered(resource.inputs) for resource in manifests(recording)])
    ours = components(recording)
    assert {"engine", "gateway", "staging", "verification"} <= set(ours)
    assert reachable(policies, ours) == LOCAL


def test_every_namespace_enforces_restricted_and_no_pod_starts_before_its_walls(recording: Recording):
    spaces = {
        item.inputs["metadata"]["name"]: item.inputs["metadata"]["labels"]
        for item in manifests(recording)
        if item.inputs["kind"] == "Namespace"
    }
    assert spaces
    assert {labels["pod-security.kubernetes.io/enforce"] for labels in spaces.values()} == {"restricted"}
    walls = {name: set[str]() for name in spaces}
    for item in manifests(recording):
        if item.inputs["kind"] == "NetworkPolicy":
            walls[item.inputs["metadata"]["namespace"]].add(item.urn)
    for item in manifests(recording):
        if item.inputs["kind"] in ("Deployment", "Job"):
            assert walls[item.inputs["metadata"]["namespace"]] <= recording.behind(item), item.urn


def test_every_pod_has_an_account_of_its_own_without_a_token(recording: Recording):
    accounts = {
        (item.inputs["metadata"]["namespace"], item.inputs["metadata"]["name"]): item.inputs
        for item in manifests(recording)
        if item.inputs["kind"] == "ServiceAccount"
    }
    for owner in pod_owners([registered(item.inputs) for item in manifests(recording)]):
        spec = pod_of(owner).spec
        account = accounts[owner.namespace or "", spec.text("serviceAccountName") or ""]
        assert account["automountServiceAccountToken"] is False
        assert spec.flag("automountServiceAccountToken") is False


CLOUD_PODS: dict[str, End] = {
    "engine": PodEnd(INFERENCE_NAMESPACE, ENGINES.labels),
    "gateway": PodEnd(GATEWAY_NAMESPACE, GATEWAYS.labels),
    "verification": PodEnd(GATEWAY_NAMESPACE, VERIFICATION.labels),
    "staging": PodEnd(INFERENCE_NAMESPACE, STAGING_JOBS.labels),
    "bucket": PodEnd(INFERENCE_NAMESPACE, BUCKET_READERS.labels),
}
CLOUD = {
    *DNS,
    *INSIDE,
    ("bucket", "dns", 53, "TCP"),
    ("bucket", "dns", 53, "UDP"),
    ("prometheus", "engine", 8000, "TCP"),
    ("prometheus", "gateway", 9902, "TCP"),
    ("verification", "prometheus", 9090, "TCP"),
    ("staging", "the internet", 443, "TCP"),
    ("bucket", "the internet", 443, "TCP"),
    ("bucket", "identity", 80, "TCP"),
}
EVERY_POD_OUTSIDE = ("a stranger", "dns", "another pod of kube-system", "prometheus")


def on_a_cloud(exposure: Any) -> list[Policy]:
    allowed = flows(cluster_network(), exposure, [VLLM])
    specs = [
        (namespace, name, spec)
        for namespace in (INFERENCE_NAMESPACE, GATEWAY_NAMESPACE)
        for name, spec in policy_specs(namespace, allowed).items()
    ]
    return network_policies(
        [
            registered(
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": spec,
                }
            )
            for namespace, name, spec in specs
        ]
    )


def test_an_internal_gateway_on_a_cloud_is_open_to_its_network_and_the_clusters_pods():
    clients = {(source, "gateway", 8080, "TCP") for source in (*EVERY_POD_OUTSIDE, "the network")}
    assert reachable(on_a_cloud("internal"), CLOUD_PODS) == CLOUD | clients


def test_a_public_gateway_is_open_to_every_address_and_nothing_else_is():
    addresses = [name for name, end in STRANGERS.items() if isinstance(end, AddressEnd)]
    clients = {(name, "gateway", 8080, "TCP") for name in addresses if name != "metadata over IPv6"}
    assert reachable(on_a_cloud("public"), CLOUD_PODS) == CLOUD | clients


@pytest.mark.parametrize("exposure", ["internal", "public"])
def test_no_pod_reaches_a_metadata_address(exposure: str):
    policies = on_a_cloud(exposure)
    for end in CLOUD_PODS.values():
        for name in ("metadata", "metadata over IPv6"):
            for port in PORTS:
                assert not reaches(policies, end, Destination(STRANGERS[name], port))
