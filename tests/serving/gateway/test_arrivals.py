"""Arrivals are counted whatever becomes of the request: the rendered configuration in the real Envoy."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.gateway.clusters import cluster_documents
from serving.gateway.documents import Document, socket_address, to_yaml, typed
from serving.gateway.errors import RETRY_AFTER_SECONDS, WAKE_RETRY_AFTER_SECONDS
from serving.gateway.served import ServedModel
from tests.serving.gateway.engine_server import Engine
from tests.serving.gateway.gateway_process import JSON, Gateway, arrivals, running
from tests.serving.gateway.name_server import Zone, naming

LIMIT = 1024 * 1024
CHAT = "/v1/chat/completions"
CHAT_MODEL = [ServedModel("chat", "generate")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Gateway]:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # held, and nobody listens: every connection is refused
        backends = {"chat": [engine.port], "asleep": [], "refusing": [nobody.getsockname()[1]]}
        with running(tmp_path_factory.mktemp("gateway"), backends, LIMIT) as started:
            yield started


def post(gateway: Gateway, body: object, path: str = CHAT) -> tuple[int, str | None, float, Any]:
    """Status, Retry-After, seconds and content of the answer."""
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    began = time.monotonic()
    try:
        connection.request("POST", path, json.dumps(body), JSON)
        response = connection.getresponse()
        content = json.loads(response.read())
        return response.status, response.getheader("Retry-After"), time.monotonic() - began, content
    finally:
        connection.close()


def counted(gateway: Gateway, model: str, requests: int) -> tuple[int, str | None, float, Any]:
    """The last answer to so many requests, each of which must have counted once."""
    before = arrivals(gateway)
    answers = [post(gateway, {"model": model}) for _ in range(requests)]
    after = arrivals(gateway)
    assert {name: after[name] - before[name] for name in after} == {
        name: requests if name == model else 0 for name in before
    }
    return answers[-1]


def test_every_model_has_a_count_before_its_first_request(engine: Engine, tmp_path: Path):
    with running(tmp_path, {"chat": [engine.port], "a-sleeping-one": []}, LIMIT) as fresh:
        assert arrivals(fresh) == {"chat": 0, "a-sleeping-one": 0}


def test_with_no_replica_the_arrival_counts_and_the_client_is_told_at_once_when_to_return(gateway: Gateway):
    status, retry_after, seconds, content = counted(gateway, "asleep", requests=3)
    assert status == 503
    assert seconds < 1
    assert retry_after == str(WAKE_RETRY_AFTER_SECONDS)
    assert content["error"]["code"] == "model_unavailable"
    assert content["error"]["type"] == "server_error"
    assert "'asleep'" in content["error"]["message"]
    assert f"{WAKE_RETRY_AFTER_SECONDS} s" in content["error"]["message"]


def test_with_one_replica(gateway: Gateway):
    assert counted(gateway, "chat", requests=2)[0] == 200


def test_attempts_of_the_gateway_are_not_arrivals(gateway: Gateway, engine: Engine):
    engine.requests.clear()
    engine.refuse_first = 1
    assert counted(gateway, "chat", requests=1)[0] == 200
    assert len(engine.requests) == 2


def test_with_a_replica_that_refuses_every_connection(gateway: Gateway):
    status, retry_after, seconds, _ = counted(gateway, "refusing", requests=2)
    assert (status, retry_after) == (503, str(RETRY_AFTER_SECONDS))
    assert seconds < 5


def test_what_is_refused_is_no_arrival(gateway: Gateway):
    before = arrivals(gateway)
    assert post(gateway, {"model": "none"})[0] == 404
    assert post(gateway, {})[0] == 400
    assert post(gateway, {"model": "chat"}, "/metrics")[0] == 404
    assert arrivals(gateway) == before


def test_a_stream_counts_when_it_begins(gateway: Gateway, engine: Engine):
    before = arrivals(gateway)["chat"]
    engine.proceed.clear()
    connection = http.client.HTTPConnection(gateway.clients, timeout=20)
    try:
        connection.request("POST", CHAT, json.dumps({"model": "chat", "stream": True}), JSON)
        response = connection.getresponse()
        assert response.readline() == b"data: first\n"
        assert arrivals(gateway)["chat"] == before + 1
        engine.proceed.set()
        response.read()
    finally:
        connection.close()
    assert arrivals(gateway)["chat"] == before + 1


def test_a_new_model_resets_no_count(engine: Engine, tmp_path: Path):
    with running(tmp_path, {"asleep": []}, LIMIT) as gateway:
        post(gateway, {"model": "asleep"})
        gateway.rewrite({"asleep": [], "added": [engine.port]}, LIMIT)
        deadline = time.monotonic() + 10
        while "added" not in arrivals(gateway):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert arrivals(gateway) == {"asleep": 1, "added": 0}


# An empty Service, found by DNS as in a cluster.


def by_dns(zone: Zone, port: int) -> Document:
    """The rendered clusters, with this name server and the port of a server here."""
    plain: Any = yaml.safe_load(to_yaml(cluster_documents(CHAT_MODEL)))
    for cluster in plain["resources"]:
        (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"]["socket_address"]["port_value"] = port
        cluster["dns_refresh_rate"] = "0.2s"  # 5 s by default
        cluster["typed_dns_resolver_config"] = {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": typed(
                "extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                resolvers=[socket_address("127.0.0.1", zone.port)],
            ),
        }
    return plain


def asleep(gateway: Gateway) -> Any:
    """The error of a model without replicas, which must come at once."""
    status, retry_after, seconds, content = post(gateway, {"model": "chat"})
    assert (status, retry_after) == (503, str(WAKE_RETRY_AFTER_SECONDS)), content
    assert seconds < 1
    return content


def wait_for_status(gateway: Gateway, status: int) -> None:
    deadline = time.monotonic() + 15
    while post(gateway, {"model": "chat"})[0] != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_empty_service_is_found_out_at_once(engine: Engine, tmp_path: Path):
    with (
        naming() as zone,
        running(tmp_path, {"chat": []}, LIMIT, clusters=by_dns(zone, engine.port)) as gateway,
    ):
        assert zone.questions > 0
        asleep(gateway)
        # The first replica comes, and is the last to go.
        zone.addresses.append("127.0.0.1")
        wait_for_status(gateway, 200)
        zone.addresses.clear()
        wait_for_status(gateway, 503)
        asleep(gateway)
