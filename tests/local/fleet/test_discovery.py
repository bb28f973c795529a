from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.fleet.discovery import DelayedRemoval, parse_service_name, resolve
from local.fleet.kube import EndpointSlice, Service
from local.fleet.pod_model import Pod
from tests.local.fleet.conftest import MakePod


def service(kind: str = "ClusterIP", cluster_ip: str = "10.0.0.9", **metadata: Any) -> Service:
    return Service.model_validate(
        {
            "metadata": {"name": "chat", "namespace": "inference", **metadata},
            "spec": {"type": kind, "clusterIP": cluster_ip, "ports": [{"name": "http", "port": 80}]},
        }
    )


def endpoint_slice(*endpoints: tuple[str, bool]) -> EndpointSlice:
    return EndpointSlice.model_validate(
        {
            "metadata": {"name": "chat-x", "namespace": "inference"},
            "ports": [{"name": "http", "port": 8000}],
            "endpoints": [
                {"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": uid, "uid": uid}}
                for uid, ready in endpoints
            ],
        }
    )


@pytest.fixture
def pods(make_pod: MakePod) -> dict[str, Pod]:
    def one(uid: str, port: int) -> Pod:
        annotations = {
            "local.llm-platform/address-8000": f"127.0.0.1:{port}",
            "local.llm-platform/address-9000": f"127.0.0.1:{port + 1}",
        }
        return make_pod(metadata={"uid": uid, "annotations": annotations})

    return {"a": one("a", 21000), "b": one("b", 22000), "bare": make_pod(metadata={"uid": "bare"})}


def test_a_service_leads_to_its_ready_pods_with_an_address(pods: dict[str, Pod]) -> None:
    found = resolve(
        service(), [endpoint_slice(("a", True), ("b", False), ("bare", True), ("lost", True))], pods
    )
    assert not found.headless
    assert found.ports == {80: {("127.0.0.1", 21000)}}


def test_a_headless_service_leads_to_every_port_of_its_pods(pods: dict[str, Pod]) -> None:
    found = resolve(
        service(cluster_ip="None"), [endpoint_slice(("a", True)), endpoint_slice(("b", True))], pods
    )
    assert found.headless
    assert found.ports[8000] == {("127.0.0.1", 21000), ("127.0.0.1", 22000)}
    assert found.ports[9000] == {("127.0.0.1", 21001), ("127.0.0.1", 22001)}
    assert found.ports[80] == frozenset()


def test_a_service_without_pods_may_say_where_it_is() -> None:
    annotations = {"local.llm-platform/address-80": "127.0.0.1:9090"}
    assert resolve(service(annotations=annotations), [], {}).ports == {80: {("127.0.0.1", 9090)}}
    balanced = service("LoadBalancer", annotations=annotations)
    assert resolve(balanced, [], {}).ports == {80: frozenset()}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("chat", ("gateway", "chat")),
        ("Chat.Inference", ("inference", "chat")),
        ("chat.inference.svc", ("inference", "chat")),
        ("chat.inference.svc.cluster.local.", ("inference", "chat")),
        ("198.51.100.1", None),
        ("a.b.c.d", None),
        ("chat.inference.pod", None),
        ("", None),
    ],
)
def test_service_names(host: str, expected: tuple[str, str] | None) -> None:
    assert parse_service_name(host, "gateway") == expected


A, B = ("127.0.0.1", 1), ("127.0.0.1", 2)


def test_additions_show_at_once_and_removals_late() -> None:
    seen = DelayedRemoval(5.0)
    seen.update(frozenset({A}), now=0.0)
    seen.update(frozenset({B}), now=10.0)
    assert seen.visible(10.0) == {A, B}
    assert seen.next_change() == 15.0
    assert seen.visible(14.9) == {A, B}
    assert seen.visible(15.0) == {B}
    assert seen.next_change() is None


def test_an_endpoint_that_returns_in_time_never_left() -> None:
    seen = DelayedRemoval(5.0)
    for moment, current in enumerate([{A}, set(), {A}]):
        seen.update(frozenset(current), now=float(moment))
    assert seen.visible(100.0) == {A}


@given(st.lists(st.tuples(st.floats(0, 20), st.frozensets(st.sampled_from([A, B]))), max_size=20))
def test_what_is_there_is_always_seen_and_what_left_longer_ago_never(
    steps: list[tuple[float, frozenset[tuple[str, int]]]],
) -> None:
    seen = DelayedRemoval(5.0)
    now, last_present = 0.0, {}
    current: frozenset[tuple[str, int]] = frozenset()
    for wait, following in steps:
        now += wait
        last_present.update(dict.fromkeys(current, now))
        current = following
        seen.update(current, now)
        visible = seen.visible(now)
        assert current <= visible
        assert all(address in current or now - last_present[address] <= 5.0 for address in visible)
