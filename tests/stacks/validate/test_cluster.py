from __future__ import annotations

from typing import Any

import pytest

from stacks.load import parse
from stacks.problems import StackError
from tests.stacks.environments import aws_values, local_values

GCP = {
    "provider": "gcp",
    "name": "test",
    "project": "some-project",
    "region": "us-central1",
    "release_channel": "regular",
    "api_allowed_cidrs": [],
    "system_nodes": {"machine_type": "e2-standard-4", "count": 3},
}
EXISTING = {
    "provider": "existing",
    "name": "ours",
    "kubeconfig": "ours.yaml",
    "context": "ours",
    "node_autoscaler": "cluster-autoscaler",
}


def problems(values: dict[str, Any]) -> list[str]:
    try:
        parse(values, origin="test")
    except StackError as error:
        return [str(problem) for problem in error.problems]
    return []


def on(cluster: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**local_values(), "cluster": {**cluster, **changes}}


def aws(**changes: Any) -> dict[str, Any]:
    return on(aws_values()["cluster"], **changes)


def test_every_provider_can_be_described():
    assert problems(aws()) == []
    assert problems(on(EXISTING)) == []
    values = on(GCP)
    values["node_pools"] = [{**values["node_pools"][0], "machine_types": ["g2-standard-8"], "disk_gib": 200}]
    values["models"] = values["models"][:1]
    assert problems(values) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"region": "us-central1"},
            'cluster.region: "us-central1" is not a region of aws (2026-10-20): did you mean eu-central-1?',
        ),
        ({"region": "us-east-3"}, "did you mean us-east-2?"),
        ({"region": ""}, 'cluster.region: "" must not be empty'),
        (
            {"version": "1.10"},
            'cluster.version: "1.10" is not offered by aws (2026-11-30): use "1.36", the newest, or one of '
            "1.32, 1.33, 1.34, 1.35",
        ),
        ({"version": "1.99"}, 'cluster.version: "1.99" is not offered'),
        (
            {"zones": 6},
            "cluster.zones: 6 is more than the 5 availability zones of us-east-1 in which a cluster can run",
        ),
        (
            {"name": "a" * 33},
            f'cluster.name: "{"a" * 33}" has 33 characters, and 32 leave room for the names made from it',
        ),
        (
            {"api_allowed_cidrs": ["0.0.0.0/0"]},
            "cluster.api_allowed_cidrs: the API server would be open to 4,294,967,296 addresses (0.0.0.0/0)",
        ),
        # Cut in two, and with a piece inside another.
        ({"api_allowed_cidrs": ["128.0.0.0/1", "10.0.0.0/8", "0.0.0.0/1"]}, "4,294,967,296 addresses"),
        ({"api_allowed_cidrs": ["12.0.0.0/8", "13.0.0.0/8"]}, "33,554,432 addresses (12.0.0.0/7)"),
        ({"version": 1.36}, "cluster.version: 1.36 must be text (Kubernetes version"),
        ({"zones": 1}, "cluster.zones: 1 must be at least 2"),
        (
            {"nat_gateways": "per-zone"},
            'cluster.nat_gateways: "per-zone" is not allowed: did you mean per_zone?',
        ),
        (
            {"api_allowed_cidrs": ["203.0.113.1"]},
            'cluster.api_allowed_cidrs[0]: "203.0.113.1" is not allowed',
        ),
        (
            {"api_allowed_cidrs": ["203.0.113.1/24"]},
            'cluster.api_allowed_cidrs[0]: "203.0.113.1/24" is not a network',
        ),
        (
            {"api_allowed_cidrs": ["203.0.113.0/64"]},
            'cluster.api_allowed_cidrs[0]: "203.0.113.0/64" is not a network',
        ),
        ({"node_autoscaler": "karpentr"}, "did you mean karpenter? Valid: cluster-autoscaler, karpenter"),
        ({"kubeconfig": "x"}, "cluster.kubeconfig: unknown key"),
        (
            {"system_nodes": {"machine_type": "e2-standard-4", "count": 2}},
            'cluster.system_nodes.machine_type: "e2-standard-4" is not a system machine of aws',
        ),
        (
            {"system_nodes": {"machine_type": "m7i.large", "count": 0}},
            "cluster.system_nodes.count: 0 must be at least 1",
        ),
    ],
)
def test_one_mistake_is_one_line(change: dict[str, Any], expected: str):
    (line,) = problems(aws(**change))
    assert expected in line


@pytest.mark.parametrize("region", ["europe-west10", "europe-west12", "europe-west15", "me-central2"])
def test_regions_with_longer_names_exist(region: str):
    lines = problems(on(GCP, region=region))
    assert [line for line in lines if line.startswith("cluster.region")] == []


def test_a_region_that_does_not_exist_is_one_line():
    values = on(GCP, region="moon-base1")
    values["node_pools"] = [{**values["node_pools"][0], "machine_types": ["g2-standard-8"], "disk_gib": 200}]
    values["models"] = values["models"][:1]
    (line,) = problems(values)
    assert line.startswith('cluster.region: "moon-base1" is not a region of gcp (2026-11-30)')


@pytest.mark.parametrize(
    ("networks", "allowed"),
    [([], True), (["10.0.0.0/8"], True), (["10.0.0.0/8", "203.0.113.0/24"], True), (["0.0.0.0/5"], False)],
)
def test_networks_that_reach_the_api_server(networks: list[str], allowed: bool):
    assert (problems(aws(api_allowed_cidrs=networks)) == []) == allowed
    lines = [line for line in problems(on(GCP, api_allowed_cidrs=networks)) if "api_allowed" in line]
    assert (lines == []) == allowed


@pytest.mark.parametrize(("length", "allowed"), [(24, True), (25, False)])
def test_a_name_leaves_room_for_a_service_account(length: int, allowed: bool):
    lines = [line for line in problems(on(GCP, name="a" * length)) if line.startswith("cluster.name")]
    assert (lines == []) == allowed


def test_a_cluster_that_a_team_has_may_be_of_any_release():
    assert problems(on(EXISTING, version="1.39")) == []


def test_a_cluster_without_its_provider():
    cluster = aws_values()["cluster"]
    del cluster["provider"]
    (line,) = problems({**local_values(), "cluster": cluster})
    assert line.startswith("cluster.provider: required key is missing")


def test_machines_of_another_cloud():
    values = aws()
    values["node_pools"][0].update(machine_types=["g2-standard-8"], disk_gib=200)
    (line,) = problems(values)
    assert line.startswith(
        'node_pools[0].machine_types[0]: "g2-standard-8" is of gcp, and the pool is nvidia-l4'
    )


@pytest.mark.parametrize(("autoscaler", "count"), [("karpenter", 1), ("cluster-autoscaler", 0)])
def test_only_karpenter_cannot_keep_machines_without_pods(autoscaler: str, count: int):
    values = aws(node_autoscaler=autoscaler)
    values["node_pools"][0]["min_nodes"] = 1
    assert len(problems(values)) == count


@pytest.mark.parametrize(
    ("cluster", "served"),
    [
        (local_values()["cluster"], True),
        ({**EXISTING, "node_autoscaler": "karpenter"}, True),
        ({**EXISTING, "version": "1.34"}, True),
        ({**EXISTING, "version": "1.33"}, False),
        (EXISTING, False),
        ({**aws_values()["cluster"], "version": "1.33"}, True),
        ({**aws_values()["cluster"], "version": "1.33", "node_autoscaler": "cluster-autoscaler"}, False),
        ({**aws_values()["cluster"], "version": "1.36", "node_autoscaler": "cluster-autoscaler"}, True),
    ],
)
def test_a_capacity_buffer_where_the_autoscaler_serves_it(cluster: dict[str, Any], served: bool):
    values = on(cluster)
    values["node_pools"][1].update(warm_capacity="capacity_buffer")
    found = problems(values)
    if served:
        assert found == []
    else:
        (line,) = found
        assert line.startswith("node_pools[1].warm_capacity: capacity_buffer is not possible")
        assert line.endswith("Use placeholder_pods")
