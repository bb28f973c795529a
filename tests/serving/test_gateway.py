from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.envoy.clusters import cluster_documents
from serving.envoy.documents import to_yaml
from serving.envoy.routes import route_configuration
from serving.gateway import GatewayArgs, address, config_maps, deployment_spec
from tests.serving.contracts import cluster_contract

NAMES = st.lists(
    st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True), min_size=1, max_size=5, unique=True
)


def arguments(models: list[str] | None = None, drain_seconds: int = 60) -> GatewayArgs:
    return GatewayArgs(
        cluster=cluster_contract(),
        models=["chat"] if models is None else models,
        replicas=2,
        max_request_bytes=1024,
        drain_seconds=drain_seconds,
    )


def pod(args: GatewayArgs) -> Any:
    spec: Any = deployment_spec(args)
    return spec.template


def test_adding_a_model_restarts_nothing():
    assert vars(pod(arguments(["chat"]))) == vars(pod(arguments(["chat", "other"])))
    before, after = config_maps(arguments(["chat"])), config_maps(arguments(["chat", "other"]))
    assert before["bootstrap"] == after["bootstrap"]
    assert before["config"]["listeners.yaml"] == after["config"]["listeners.yaml"]
    assert before["config"]["routes.yaml"] != after["config"]["routes.yaml"]


@settings(max_examples=10)
@given(models=NAMES)
def test_every_model_has_a_route_and_a_cluster_of_its_service(models: list[str]):
    clusters = yaml.safe_load(to_yaml(cluster_documents(models)))["resources"]
    assert [cluster["name"] for cluster in clusters] == models
    hosts = [
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
        for cluster in clusters
    ]
    assert hosts == [
        {"address": f"{model}.inference.svc.cluster.local", "port_value": 8000} for model in models
    ]
    (routes,) = yaml.safe_load(to_yaml(route_configuration(models, 1024)))["resources"]
    targets = [item["route"]["cluster"] for item in routes["virtual_hosts"][0]["routes"] if "route" in item]
    assert targets == models


def test_rendering_is_deterministic():
    assert config_maps(arguments(["a", "b"])) == config_maps(arguments(["a", "b"]))


@settings(max_examples=10)
@given(drain=st.integers(1, 3600))
def test_the_pod_is_killed_only_after_its_drain(drain: int):
    template = pod(arguments(drain_seconds=drain))
    environment = {item.name: item.value for item in template.spec.containers[0].env}
    assert template.spec.termination_grace_period_seconds > int(environment["DRAIN_MAXIMUM_SECONDS"]) > drain
    assert int(environment["DRAIN_MINIMUM_SECONDS"]) < int(environment["DRAIN_MAXIMUM_SECONDS"])


def test_every_file_is_where_the_arguments_say():
    template = pod(arguments())
    container = template.spec.containers[0]
    mounts = {mount.name: mount.mount_path for mount in container.volume_mounts}
    files = config_maps(arguments())
    paths = {f"{mounts[name]}/{file}" for name, contents in files.items() for file in contents}
    assert container.args[1] in paths
    assert container.lifecycle.pre_stop.exec_.command[1] in paths
    assert {volume.config_map.name for volume in template.spec.volumes} == {
        f"gateway-{name}" for name in files
    }


def status(*ingress: SimpleNamespace) -> Any:
    return SimpleNamespace(load_balancer=SimpleNamespace(ingress=list(ingress)))


def test_the_address_that_clients_are_told():
    port = SimpleNamespace(port=40123)
    inside = "http://gateway.gateway.svc.cluster.local"
    assert address(None) == inside
    assert address(status()) == inside
    assert (
        address(status(SimpleNamespace(hostname="lb.example.com", ip=None, ports=None)))
        == "http://lb.example.com:80"
    )
    assert (
        address(status(SimpleNamespace(hostname=None, ip="127.0.0.1", ports=[port])))
        == "http://127.0.0.1:40123"
    )
