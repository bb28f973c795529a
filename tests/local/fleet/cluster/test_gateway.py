"""A real Envoy as a Deployment, in front of a Service, behind a load balancer: as the gateway is built."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import yaml

from tests.local.fleet.cluster.conftest import Namespace, address, eventually, is_ready, pod_spec, server

pytestmark = pytest.mark.cluster

CONFIG = "/etc/envoy/config"
DRAIN = """
exec 3<>/dev/tcp/${ENVOY_ADMIN%:*}/${ENVOY_ADMIN##*:}
printf 'POST /healthcheck/fail HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\n\r\n' >&3
sleep 7
"""
# A failed health check makes Envoy close each connection with its next answer, and the load balancer goes on
# choosing the pod for the endpoint removal delay of 5 s.


def source(file: str) -> dict[str, Any]:
    path = {"path": f"{CONFIG}/{file}", "watched_directory": {"path": CONFIG}}
    return {"resource_api_version": "V3", "path_config_source": path}


def bootstrap() -> dict[str, Any]:
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}},
        "dynamic_resources": {"lds_config": source("listeners.yaml"), "cds_config": source("clusters.yaml")},
    }


def listeners(prefix: str) -> dict[str, Any]:
    types = "type.googleapis.com/envoy"
    router = {"@type": f"{types}.extensions.filters.http.router.v3.Router"}
    retries = {"retry_on": "connect-failure,refused-stream,reset", "num_retries": 3}
    routes = [
        {"match": {"prefix": prefix}, "route": {"cluster": "web", "timeout": "0s", "retry_policy": retries}}
    ]
    manager = {
        "@type": f"{types}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    listener = {
        "@type": f"{types}.config.listener.v3.Listener",
        "name": "http",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8080}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"resources": [listener]}


def clusters(host: str) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": 8000}}}}
    cluster = {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": "web",
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_retries": 100}]},
        "load_assignment": {"cluster_name": "web", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"resources": [cluster]}


def create_backend(namespace: Namespace, replicas: int) -> None:
    lifecycle = {"preStop": {"sleep": {"seconds": 7}}}  # longer than the endpoint removal delay of 5 s
    spec = pod_spec([server(lifecycle=lifecycle)], terminationGracePeriodSeconds=20)
    create_deployment(namespace, "web", replicas, spec)
    ports = [{"name": "http", "port": 8000, "targetPort": "http"}]
    namespace.create(
        "services", "web", spec={"clusterIP": "None", "selector": {"app": "web"}, "ports": ports}
    )


def create_gateway(namespace: Namespace, replicas: int) -> None:
    files = {
        "envoy.yaml": bootstrap(),
        "listeners.yaml": listeners("/"),
        "clusters.yaml": clusters(f"web.{namespace.name}.svc.cluster.local"),
    }
    data = {name: yaml.safe_dump(document) for name, document in files.items()}
    namespace.create("configmaps", "gateway", data=data)
    container = {
        "name": "envoy",
        "image": "envoyproxy/envoy:v1.40.0",
        "args": ["-c", f"{CONFIG}/envoy.yaml", "--concurrency", "1", "--log-level", "warning"],
        "env": [{"name": "ENVOY_ADMIN", "value": "127.0.0.1:9901"}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"exec": {"command": ["bash", "-c", DRAIN]}}},
        "volumeMounts": [{"name": "config", "mountPath": CONFIG}],
    }
    volumes = [{"name": "config", "configMap": {"name": "gateway"}}]
    create_deployment(namespace, "gateway", replicas, pod_spec([container], volumes=volumes))
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    spec = {"type": "LoadBalancer", "selector": {"app": "gateway"}, "ports": ports}
    namespace.create("services", "gateway", spec=spec)


def create_deployment(namespace: Namespace, name: str, replicas: int, spec: dict[str, Any]) -> None:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    namespace.create(
        "deployments",
        name,
        spec={"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    )


def front_door(namespace: Namespace) -> str:
    def annotated() -> str | None:
        service = namespace.get("services", "gateway")
        assert service is not None
        return service["metadata"].get("annotations", {}).get("local.llm-platform/address-80")

    return "http://" + eventually(annotated, "the load balancer's address")


def ready_pods(namespace: Namespace, app: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in namespace.items("pods", f"app={app}") if is_ready(pod)}


def answering(url: str) -> set[str]:
    """Which pods answer twenty requests in a row; a failed request is in the set by its status."""
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        answers = [client.get(url) for _ in range(20)]
    return {item.text if item.is_success else str(item.status_code) for item in answers}


@dataclass
class Load:
    """Requests one after the other until told to stop."""

    url: str
    failures: list[str] = field(default_factory=list)
    served_by: set[str] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            while not self.stop.is_set():
                try:
                    answer = client.get(self.url)
                    (self.served_by.add if answer.is_success else self.failures.append)(answer.text)
                except httpx.TransportError as error:
                    self.failures.append(repr(error))
                time.sleep(0.01)


def under_load(url: str, change: Callable[[], None]) -> Load:
    load = Load(url)
    thread = threading.Thread(target=load.run)
    thread.start()
    try:
        change()
    finally:
        load.stop.set()
        thread.join()
    return load


def test_the_gateway_routes_follows_scaling_and_is_replaced_without_a_failed_request(
    namespace: Namespace,
) -> None:
    create_backend(namespace, replicas=1)
    create_gateway(namespace, replicas=1)
    url = front_door(namespace)
    service = namespace.get("services", "gateway")
    assert service is not None
    [ingress] = service["status"]["loadBalancer"]["ingress"]
    assert f"http://{ingress['ip']}:{ingress['ports'][0]['port']}" == url
    first = eventually(lambda: ready_pods(namespace, "web"), "the first back end")
    eventually(lambda: ready_pods(namespace, "gateway"), "the gateway")
    eventually(lambda: answering(url) == first, "an answer through the gateway")

    def scale_up() -> None:
        namespace.patch("deployments", "web", {"spec": {"replicas": 3}})
        eventually(lambda: len(ready_pods(namespace, "web")) == 3, "three back ends")
        eventually(lambda: len(answering(url)) == 3, "answers from three")

    def scale_down_and_roll() -> None:
        namespace.patch("deployments", "web", {"spec": {"replicas": 1}})
        restarted = {"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}}
        namespace.patch("deployments", "gateway", restarted)
        eventually(lambda: len(namespace.items("pods", "app=web")) == 1, "one back end")
        eventually(lambda: len(namespace.items("pods", "app=gateway")) == 1, "one gateway")
        eventually(lambda: answering(url) == ready_pods(namespace, "web"), "answers from the one left")

    load = under_load(url, scale_up)
    assert (load.failures, len(load.served_by)) == ([], 3)
    load = under_load(url, scale_down_and_roll)
    assert load.failures == []


def test_a_changed_config_map_reaches_envoy_without_a_restart(namespace: Namespace) -> None:
    create_backend(namespace, replicas=1)
    create_gateway(namespace, replicas=1)
    url = front_door(namespace)
    eventually(lambda: httpx.codes.OK in statuses(url), "an answer through the gateway")
    narrowed = {"data": {"listeners.yaml": yaml.safe_dump(listeners("/v1/"))}}
    namespace.patch("configmaps", "gateway", narrowed)
    eventually(lambda: statuses(url) == {httpx.codes.NOT_FOUND}, "the root is no longer routed")
    assert statuses(f"{url}/v1/models") == {httpx.codes.OK}
    [pod] = namespace.items("pods", "app=gateway")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0

    # What cannot work on this machine leaves the running configuration alone and says so on the pod.
    foreign = {"data": {"clusters.yaml": yaml.safe_dump(clusters("api.example.com"))}}
    namespace.patch("configmaps", "gateway", foreign)
    name = pod["metadata"]["name"]
    eventually(lambda: "FailedMount" in namespace.events(name), "an event about the foreign cluster")
    assert statuses(f"{url}/v1/models") == {httpx.codes.OK}
    assert httpx.get(f"http://{address(pod, 9901)}/ready", trust_env=False).text.strip() == "LIVE"


def test_a_load_balancer_keeps_its_port_when_its_service_is_made_again(namespace: Namespace) -> None:
    namespace.pod("web", [server()])
    namespace.wait_ready("web")
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    spec = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": ports}
    namespace.create("services", "gateway", spec=spec)
    url = front_door(namespace)
    eventually(lambda: statuses(url) == {httpx.codes.OK}, "an answer")
    namespace.delete("services", "gateway")
    eventually(lambda: statuses(url) == {0}, "nobody listens any more")
    namespace.create("services", "gateway", spec=spec)
    assert front_door(namespace) == url
    eventually(lambda: statuses(url) == {httpx.codes.OK}, "an answer at the same address")


def statuses(url: str) -> set[int]:
    """The status of one request, 0 for none."""
    try:
        return {httpx.get(url, trust_env=False, timeout=5.0).status_code}
    except httpx.TransportError:
        return {0}
