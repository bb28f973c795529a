from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.cluster import Entrance
from serving.gateway.authentication import Authentication
from serving.gateway.gateway import GatewayArgs, address, config_maps, deployment_spec, services
from serving.gateway.rate_limit import Rate, RateLimits
from serving.gateway.served import ServedModel
from tests.serving.contracts import cluster_contract


def served(names: list[str]) -> list[ServedModel]:
    return [ServedModel(name, "generate") for name in names]


KEYS = Authentication('{"keys": []}', "test")


def arguments(
    models: list[str] | None = None, drain_seconds: int = 60, authentication: Authentication = KEYS
) -> GatewayArgs:
    return GatewayArgs(
        cluster=cluster_contract(),
        models=served(["chat"] if models is None else models),
        replicas=2,
        max_request_bytes=1024,
        drain_seconds=drain_seconds,
        authentication=authentication,
        rate_limits=RateLimits(Rate(10, 20), {}),
    )


def pod(args: GatewayArgs) -> Any:
    spec: Any = deployment_spec(args, config_maps(args)["bootstrap"])
    return spec.template


def test_adding_a_model_restarts_nothing():
    assert vars(pod(arguments(["chat"]))) == vars(pod(arguments(["chat", "other"])))
    before, after = config_maps(arguments(["chat"])), config_maps(arguments(["chat", "other"]))
    assert before["bootstrap"] == after["bootstrap"]
    assert before["config"]["listeners.yaml"] == after["config"]["listeners.yaml"]
    assert before["config"]["routes.yaml"] != after["config"]["routes.yaml"]


def test_keys_and_revocations_change_files_of_their_own():
    before = config_maps(arguments())["config"]
    rotated = config_maps(arguments(authentication=Authentication("{}", "test")))["config"]
    revoked = config_maps(arguments(authentication=replace(KEYS, revoked=("leaked",))))["config"]
    assert {name for name in before if before[name] != rotated[name]} == {"authentication.yaml"}
    assert {name for name in before if before[name] != revoked[name]} == {"revocations.yaml"}


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
    assert address(status(), "llm.example.com") == "https://llm.example.com"
    assert (
        address(status(SimpleNamespace(hostname="lb.example.com", ip=None, ports=None)))
        == "http://lb.example.com:80"
    )
    assert (
        address(status(SimpleNamespace(hostname=None, ip="127.0.0.1", ports=[port])))
        == "http://127.0.0.1:40123"
    )


def test_without_tls_there_is_one_service():
    ((name, spec),) = services(arguments()).items()
    assert (name, spec.type) == ("gateway", "ClusterIP")
    assert "certificate.yaml" not in config_maps(arguments())["config"]


def test_with_tls_the_load_balancer_leads_to_the_encrypted_port_only():
    entrance = Entrance("LoadBalancer", annotations={}, hostname="llm.example.com", tls="gateway")
    secured = replace(
        arguments(), cluster=replace(cluster_contract(), entrance=entrance), tls_secret="llm-example-com"
    )
    found: Any = services(secured)
    assert [
        (name, spec.type, spec.ports[0].port, spec.ports[0].target_port) for name, spec in found.items()
    ] == [
        ("gateway", "ClusterIP", 80, "http"),
        ("gateway-public", "LoadBalancer", 443, "https"),
    ]
    spec = pod(secured).spec
    (volume,) = (volume for volume in spec.volumes if volume.secret is not None)
    assert volume.secret.secret_name == "llm-example-com"
    (mount,) = (mount for mount in spec.containers[0].volume_mounts if mount.name == volume.name)
    assert (mount.mount_path, mount.read_only) == ("/etc/envoy/certificate", True)
    files = config_maps(secured)["config"]
    assert "/etc/envoy/certificate/tls.crt" in files["certificate.yaml"]
    assert "port_value: 8443" in files["listeners.yaml"]
