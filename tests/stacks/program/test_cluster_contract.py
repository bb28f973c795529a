"""A cluster of another kind, without Karpenter, needs its own description and no other product file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal
from unittest.mock import patch

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.cluster import (
    Addresses,
    Cluster,
    ClusterNetwork,
    Endpoint,
    Entrance,
    Pods,
    Prometheus,
    WeightsStorage,
)
from infra.karpenter import KarpenterNodePool, KarpenterNodePoolArgs, NodeClass
from infra.scheduling import GPU_TAINT, NodePool
from policies.process import Subject, running_pack
from sizing.hardware.machines import Cloud
from stacks.config import Capacity, Stack
from stacks.config.cluster import AnyCluster
from stacks.load import PROJECT, parse
from stacks.plan import make_plan
from stacks.program import platform as program
from stacks.signing_keys import FOLDER_VARIABLE
from stacks.validate import check
from tests.recording import Recording, Registered, record, stack_outputs
from tests.stacks.environments import local_values, with_files
from tests.stacks.signing import write_keys

PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}


class RackSection(AnyCluster, frozen=True):
    """`cluster` of the toy: machines of Google's shapes in racks, which are filled one way only."""

    provider: Literal["rack"] = "rack"
    name: str = "rack"
    clouds: ClassVar[tuple[Cloud, ...]] = ("gcp",)
    sells: ClassVar[tuple[Capacity, ...]] = ("on-demand",)


def rack_cluster() -> Cluster:
    """The toy: each pool is a Rack with an Image of its own. To be called within a program."""
    provider = k8s.Provider("rack-kubernetes", kubeconfig="{}", cluster_identifier="rack")
    site = _object("Site", "site", {}, provider)

    def make_pool(pool: NodePool) -> tuple[pulumi.Resource, ...]:
        image = _object("Image", pool.name, {"diskGiB": pool.disk_gib}, provider, site)
        spec = {
            "machines": [machine.name for machine in pool.machines],
            "least": pool.min_nodes,
            "most": pool.max_nodes,
            "emptyAfterSeconds": pool.scale_down_after_seconds,
            "labels": dict(pool.labels),
            "taint": f"{pool.taint.key}={pool.taint.value}:{pool.taint.effect}",
        }
        return (_object("Rack", pool.name, spec, provider, image),)

    return Cluster(
        provider=provider,
        kubernetes=None,
        make_pool=make_pool,
        entrance=Entrance(
            "LoadBalancer", {"racks.example.com/network": "office"}, "llm.rack.example", tls="load_balancer"
        ),
        system_node_selector={"racks.example.com/role": "services"},
        prometheus=Prometheus(url="https://metrics.rack.example:8443", interval_seconds=20),
        weights_storage=WeightsStorage("rack-files", "ReadWriteMany", "https://mirror.rack.example", {}),
        network=ClusterNetwork(
            clients=(Addresses(("172.20.0.0/16",)),),
            dns=(Pods("names", {"app": "resolver"}),),
            prometheus=Endpoint(Pods("observability", PROMETHEUS), 8443),
            stores=(Endpoint(Addresses(("172.21.0.9/32",)), 443),),
            identities=(),
        ),
        requirements=(site,),
    )


def _object(
    kind: str, name: str, spec: dict[str, Any], provider: k8s.Provider, *after: pulumi.Resource
) -> CustomResource:
    return CustomResource(
        f"{name}-{kind.lower()}",
        api_version="racks.example.com/v1",
        kind=kind,
        metadata=ObjectMetaArgs(name=name),
        spec=spec,
        opts=pulumi.ResourceOptions(provider=provider, depends_on=list(after)),
    )


def rack_values() -> dict[str, Any]:
    values = local_values()
    small, large = values["node_pools"]
    small.update(machine_types=["g2-standard-8"], disk_gib=200, min_nodes=1, warm_nodes=1)
    large.update(machine_types=["g4-standard-96"], disk_gib=600)
    own = {"usd_per_hour": 6.5, "as_of": date(2026, 11, 1), "source": "what the racks cost"}
    values["price_overrides"] = [{"machine_type": "g4-standard-96", **own}]
    return values


def on_racks(folder: Path, values: dict[str, Any]) -> Stack:
    existing = {
        "provider": "existing",
        "name": "racks",
        "kubeconfig": "none",
        "context": "none",
        "node_autoscaler": "cluster-autoscaler",
    }
    values = with_files({**values, "cluster": existing}, folder / "kubeconfig", write_keys(folder / "keys"))
    return parse(values, "test").model_copy(update={"cluster": RackSection()})


def built(folder: Path, make_cluster: Callable[[], Cluster]) -> Recording:
    stack = on_racks(folder, rack_values())
    with patch.dict(os.environ, {FOLDER_VARIABLE: str(folder / "keys")}):
        return record(lambda: program.export(program.build_on(make_cluster, stack)))


@pytest.fixture(scope="module")
def racks(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return built(tmp_path_factory.mktemp("racks"), rack_cluster)


MODELS = {"chat": "l4", "chat-large": "rtx-pro-6000"}


def pod(resource: Registered) -> dict[str, Any]:
    return resource.inputs["spec"]["template"]["spec"]


def test_its_stack_is_valid_and_planned_without_a_control_plane_to_pay(tmp_path: Path):
    stack = on_racks(tmp_path, rack_values())
    assert check(stack) == []
    plan = make_plan(stack)
    assert (plan.provider, plan.region, plan.fixed) == ("rack", None, ())
    assert plan.not_included[0].startswith("control plane")
    assert [pool.name for pool in plan.pools] == ["l4", "rtx-pro-6000"]
    assert {price.what for price in plan.prices} == {"g2-standard-8", "g4-standard-96"}


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("warm_capacity", "capacity_buffer", "node_pools[0].warm_capacity: capacity_buffer is not possible"),
        ("capacity", ["reserved"], "node_pools[0].capacity: only reserved is not possible"),
        ("machine_types", ["g6.2xlarge"], 'node_pools[0].machine_types[0]: "g6.2xlarge" is of aws'),
    ],
)
def test_what_it_has_no_part_for_is_refused(tmp_path: Path, field: str, value: object, problem: str):
    stack = on_racks(tmp_path, rack_values())
    pools = (stack.node_pools[0].model_copy(update={field: value}), *stack.node_pools[1:])
    found = [str(problem) for problem in check(stack.model_copy(update={"node_pools": pools}))]
    assert any(line.startswith(problem) for line in found), found


def test_nothing_of_karpenter_is_registered(racks: Recording):
    for resource in racks:
        assert "karpenter" not in json.dumps([resource.type, resource.inputs]).lower(), resource.urn
    assert not [resource for resource in racks if resource.inputs.get("kind") == "CapacityBuffer"]


def test_its_pools_are_made_as_the_stack_says(racks: Recording):
    assert racks.one("Image", "l4").inputs["spec"] == {"diskGiB": 200}
    assert racks.one("Image", "rtx-pro-6000").inputs["spec"] == {"diskGiB": 600}
    rack = racks.one("Rack", "l4").inputs["spec"]
    assert (rack["machines"], rack["least"], rack["most"]) == (["g2-standard-8"], 1, 6)
    assert racks.one("Rack", "rtx-pro-6000").inputs["spec"]["least"] == 0


@pytest.mark.parametrize(("model", "pool"), MODELS.items())
def test_engines_run_on_their_pool_and_wait_for_it(racks: Recording, model: str, pool: str):
    engine, rack = racks.one("Deployment", model), racks.one("Rack", pool)
    assert pod(engine)["nodeSelector"].items() <= rack.inputs["spec"]["labels"].items()
    (toleration,) = pod(engine)["tolerations"]
    tolerated = f"{toleration['key']}={toleration['value']}:{toleration['effect']}"
    assert tolerated == rack.inputs["spec"]["taint"]
    assert GPU_TAINT.key in pod(engine)["containers"][0]["resources"]["limits"]
    behind = racks.behind(engine)
    assert {rack.urn, racks.one("Image", pool).urn, racks.one("Site", "site").urn} <= behind
    others = set(MODELS.values()) - {pool}
    assert not {racks.one("Rack", other).urn for other in others} & behind


def test_warm_nodes_are_placeholders_that_wait_for_the_pool(racks: Recording):
    placeholders = racks.one("Deployment", "l4")
    assert placeholders.inputs["spec"]["replicas"] == 1
    assert racks.one("Rack", "l4").urn in racks.behind(placeholders)


def test_whatever_lies_in_a_namespace_waits_for_what_the_cluster_demands(racks: Recording):
    site = racks.one("Site", "site").urn
    placed = [item for item in racks if item.inputs.get("metadata", {}).get("namespace")]
    assert len(placed) > 40
    assert [item.urn for item in placed if site not in racks.behind(item)] == []


def test_every_object_is_put_on_it(racks: Recording):
    objects = [resource for resource in racks if "metadata" in resource.inputs]
    assert {resource.provider.split("::")[-2] for resource in objects} == {"rack-kubernetes"}


def test_clients_come_in_by_its_entrance(racks: Recording):
    service = racks.one("Service", "gateway").inputs
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["metadata"]["annotations"] == {"racks.example.com/network": "office"}
    assert stack_outputs(racks)["gateway_url"] == "https://llm.rack.example"
    assert pod(racks.one("Deployment", "gateway"))["nodeSelector"] == {"racks.example.com/role": "services"}


def test_its_prometheus_scrapes_and_is_asked(racks: Recording):
    for model in MODELS:
        triggers = racks.one("ScaledObject", model).inputs["spec"]["triggers"]
        asked = {trigger["metadata"]["serverAddress"] for trigger in triggers}
        assert asked == {"https://metrics.rack.example:8443"}
    (endpoint,) = racks.one("PodMonitor", "engines").inputs["spec"]["podMetricsEndpoints"]
    assert endpoint["interval"] == "20s"
    (group,) = racks.one("PrometheusRule", "llm-platform.node-pools").inputs["spec"]["groups"]
    assert group["interval"] == "20s"
    assert [rule["labels"]["node_pool"] for rule in group["rules"]] == ["l4", "rtx-pro-6000"]
    (board,) = racks.one("ConfigMap", "board-scaling").inputs["data"].values()
    for pool in MODELS.values():
        assert f'node_pool:nodes:count{{node_pool=\\"{pool}\\"}}' in board
    (verification,) = [
        resource
        for resource in racks
        if resource.inputs.get("kind") == "Job" and resource.inputs["metadata"]["namespace"] == "gateway"
    ]
    variables = {entry["name"]: entry.get("value") for entry in pod(verification)["containers"][0]["env"]}
    assert variables["VERIFY_PROMETHEUS"] == "https://metrics.rack.example:8443"


def test_weights_come_from_its_mirror_onto_its_storage(racks: Recording):
    claims = [item for item in racks if item.inputs.get("kind") == "PersistentVolumeClaim"]
    assert {claim.inputs["spec"]["storageClassName"] for claim in claims} == {"rack-files"}
    staging = [
        resource
        for resource in racks
        if resource.inputs.get("kind") == "Job" and resource.inputs["metadata"]["namespace"] == "inference"
    ]
    assert len(staging) == len(MODELS)
    for job in staging:
        (container,) = pod(job)["containers"]
        variables = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert variables["HUB_ENDPOINT"] == "https://mirror.rack.example"


@pytest.mark.parametrize(
    ("policy", "direction", "end", "peer", "port"),
    [
        ("clients-to-gateway-in", "ingress", "from", {"ipBlock": {"cidr": "172.20.0.0/16"}}, 8080),
        ("staging-to-stores-out", "egress", "to", {"ipBlock": {"cidr": "172.21.0.9/32"}}, 443),
        (
            "prometheus-to-engines-in",
            "ingress",
            "from",
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}},
                "podSelector": {"matchLabels": PROMETHEUS},
            },
            8000,
        ),
        (
            "engines-to-dns-out",
            "egress",
            "to",
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "names"}},
                "podSelector": {"matchLabels": {"app": "resolver"}},
            },
            53,
        ),
    ],
)
def test_network_policies_lead_to_its_surroundings(
    racks: Recording, policy: str, direction: str, end: str, peer: dict[str, Any], port: int
):
    (rule,) = racks.one("NetworkPolicy", policy).inputs["spec"][direction]
    assert rule[end] == [peer]
    assert {entry["port"] for entry in rule["ports"]} == {port}


def test_the_policy_pack_has_nothing_against_it(tmp_path: Path, racks: Recording):
    subjects = [Subject(item.type, item.name, item.urn, item.parent, item.inputs) for item in racks]
    pools = [pool.model_dump(mode="json") for pool in on_racks(tmp_path, rack_values()).node_pools]
    with running_pack({f"{PROJECT}:node_pools": json.dumps(pools)}, stack="test", project=PROJECT) as pack:
        assert [finding for finding in pack.judge(subjects) if finding.level == "mandatory"] == []


def test_a_cluster_whose_nodes_are_there_already_makes_no_pools(tmp_path: Path, racks: Recording):
    found = built(tmp_path, lambda: replace(rack_cluster(), make_pool=lambda pool: ()))
    pools = {"Rack", "Image"}
    assert [item for item in found if item.inputs.get("kind") in pools] == []
    others = {item.urn for item in racks if item.inputs.get("kind") not in pools}
    assert {item.urn for item in found} == others
    assert pod(found.one("Deployment", "chat")) == pod(racks.one("Deployment", "chat"))


def test_karpenter_pools_that_differ_in_their_disk_have_node_classes_of_their_own(tmp_path: Path):
    def karpenter_cluster() -> Cluster:
        cluster = rack_cluster()

        def make_pool(pool: NodePool) -> tuple[pulumi.Resource, ...]:
            made = _object("DiskClass", pool.name, {"diskGiB": pool.disk_gib}, cluster.provider)
            named = NodeClass("racks.example.com", "DiskClass", pool.name)
            args = KarpenterNodePoolArgs(cluster.provider, pool, named)
            return (KarpenterNodePool(pool.name, args, pulumi.ResourceOptions(depends_on=[made])),)

        return replace(cluster, make_pool=make_pool)

    found = built(tmp_path, karpenter_cluster)
    for model, pool in MODELS.items():
        node_pool, node_class = found.one("NodePool", pool), found.one("DiskClass", pool)
        named = node_pool.inputs["spec"]["template"]["spec"]["nodeClassRef"]
        assert named == {"group": "racks.example.com", "kind": "DiskClass", "name": pool}
        assert node_class.urn in found.behind(node_pool)
        assert node_pool.urn in found.behind(found.one("Deployment", model))
