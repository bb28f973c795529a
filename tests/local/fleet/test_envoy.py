from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from local.fleet.discovery import Target
from local.fleet.envoy import EnvoyConfigError, Translator, listening_ports
from local.fleet.rewrite import Rewriter

BOOTSTRAP = """
node: {id: gateway, cluster: gateway}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
dynamic_resources:
  lds_config:
    resource_api_version: V3
    path_config_source:
      path: /etc/envoy/config/listeners.yaml
      watched_directory: {path: /etc/envoy/config}
static_resources:
  clusters:
  - name: admin
    type: STATIC
    load_assignment:
      cluster_name: admin
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
"""

LISTENERS = """
version_info: "1"
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: http
  address: {socket_address: {address: 0.0.0.0, port_value: 8080}}
  additional_addresses: [{address: {socket_address: {address: "::", port_value: 8081, ipv4_compat: true}}}]
  filter_chains:
  - filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        access_log: [{name: file, typed_config: {path: /etc/envoy/config/access.log}}]
        route_config:
          virtual_hosts:
          - {name: all, domains: ["*"], routes: [{match: {path: /v1/models}, route: {cluster: chat}}]}
"""


def clusters(host: str, kind: str = "STRICT_DNS", copies: int = 1) -> str:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": 8000}}}}
    cluster = {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": "chat",
        "type": kind,
        "dns_lookup_family": "V4_ONLY",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_retries": 100}]},
        "load_assignment": {"cluster_name": "chat", "endpoints": [{"lb_endpoints": [endpoint] * copies}]},
    }
    return yaml.safe_dump({"resources": [cluster]})


@pytest.fixture
def asked() -> list[Target]:
    return []


@pytest.fixture
def translator(asked: list[Target]) -> Translator:
    def endpoints_file(target: Target) -> Path:
        asked.append(target)
        return Path("/state/endpoints") / target.namespace / f"{target.service}.json"

    rewriter = Rewriter(
        paths={"/etc/envoy/config": Path("/pods/c")}, ports={8080: 21080, 8081: 21081, 9901: 21901}
    )
    return Translator(rewriter, "gateway", endpoints_file)


def translate(translator: Translator, text: str) -> dict[str, Any]:
    return yaml.safe_load(translator.text(text))


def test_listening_ports_are_found_before_anything_is_translated() -> None:
    assert listening_ports(BOOTSTRAP) == {9901}
    assert listening_ports(LISTENERS) == {8080, 8081}
    assert listening_ports(clusters("chat")) == set()
    assert listening_ports("#!/bin/sh\nexit 0\n") == set()


def test_the_admin_interface_files_and_local_clusters_move(translator: Translator) -> None:
    found = translate(translator, BOOTSTRAP)
    assert found["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 21901}
    source = found["dynamic_resources"]["lds_config"]["path_config_source"]
    assert source == {"path": "/pods/c/listeners.yaml", "watched_directory": {"path": "/pods/c"}}
    cluster = found["static_resources"]["clusters"][0]
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 21901}
    assert cluster["type"] == "STATIC"


def test_listeners_move_to_the_pods_loopback_ports_and_keep_everything_else(translator: Translator) -> None:
    found = translate(translator, LISTENERS)
    before = yaml.safe_load(LISTENERS)
    listener = found["resources"][0]
    assert listener["address"] == {"socket_address": {"address": "127.0.0.1", "port_value": 21080}}
    assert listener["additional_addresses"] == [
        {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 21081}}}
    ]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["access_log"][0]["typed_config"]["path"] == "/pods/c/access.log"
    expected = before["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]
    assert manager["route_config"] == expected


@pytest.mark.parametrize(
    ("host", "namespace"),
    [
        ("chat.inference.svc.cluster.local", "inference"),
        ("chat.inference.svc.cluster.local.", "inference"),
        ("chat.inference.svc", "inference"),
        ("chat.inference", "inference"),
        ("chat", "gateway"),
    ],
)
def test_a_cluster_that_finds_a_service_by_dns_reads_its_endpoints(
    translator: Translator, asked: list[Target], host: str, namespace: str
) -> None:
    cluster = translate(translator, clusters(host))["resources"][0]
    assert asked == [Target(namespace, "chat", 8000)]
    assert cluster == {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": "chat",
        "type": "EDS",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_retries": 100}]},
        "eds_cluster_config": {
            "service_name": f"{namespace}/chat:8000",
            "eds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": f"/state/endpoints/{namespace}/chat.json",
                    "watched_directory": {"path": f"/state/endpoints/{namespace}"},
                },
            },
        },
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (clusters("192.0.2.1", "STATIC"), "'chat' dials '192.0.2.1'"),
        (clusters("192.0.2.1"), "outside the cluster"),
        (clusters("login.example.com.au"), "outside the cluster"),
        (clusters("chat.inference", copies=2), "names 2 hosts"),
        ("admin: {address: {socket_address: {address: 127.0.0.1}}}", "'port_value'"),
        ("resources: [{name: x, load_assignment: [1]}]", "not written as"),
    ],
)
def test_nothing_else_may_be_dialled(translator: Translator, text: str, message: str) -> None:
    with pytest.raises(EnvoyConfigError, match=message):
        translator.text(text)


@pytest.mark.parametrize("text", ["#!/bin/bash\necho ok\n", "just text", "{unclosed: ["])
def test_files_that_are_no_configuration_stay_as_they_are(translator: Translator, text: str) -> None:
    assert translator.text(text) == text


def test_translation_does_not_depend_on_order_of_fields(translator: Translator) -> None:
    reordered = yaml.safe_dump(yaml.safe_load(LISTENERS), sort_keys=True)
    assert translate(translator, reordered) == translate(translator, LISTENERS)
