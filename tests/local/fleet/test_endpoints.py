from __future__ import annotations

import asyncio
import json
from pathlib import Path

from local.fleet.discovery import Target
from local.fleet.endpoints import Endpoints
from local.fleet.kube import EndpointSlice, Service
from local.fleet.pod_model import Pod
from tests.local.fleet.conftest import MakePod

TARGET = Target("inference", "chat", 8000)


class World:
    """What the API would say; tests change it and call `Endpoints.changed`."""

    def __init__(self, make_pod: MakePod) -> None:
        self.services = [
            Service.model_validate(
                {"metadata": {"name": "chat", "namespace": "inference"}, "spec": {"clusterIP": "None"}}
            )
        ]
        self.ready = {"a": True, "b": True}
        self.pods = [
            make_pod(
                metadata={"uid": uid, "annotations": {"local.llm-platform/address-8000": f"127.0.0.1:{port}"}}
            )
            for uid, port in (("a", 1001), ("b", 1002))
        ]

    def collections(self) -> tuple[list[Service], list[EndpointSlice], list[Pod]]:
        endpoints = [
            {"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": uid, "uid": uid}}
            for uid, ready in self.ready.items()
        ]
        metadata = {"name": "x", "namespace": "inference", "labels": {"kubernetes.io/service-name": "chat"}}
        slices = [EndpointSlice.model_validate({"metadata": metadata, "endpoints": endpoints, "ports": None})]
        return self.services, slices, self.pods


def ports_in(file: Path) -> list[int]:
    [assignment] = json.loads(file.read_text())["resources"]
    assert assignment["cluster_name"] == "inference/chat:8000"
    entries = assignment["endpoints"][0]["lb_endpoints"]
    return [entry["endpoint"]["address"]["socket_address"]["port_value"] for entry in entries]


def test_the_file_exists_when_asked_for_and_follows_with_late_removal(
    make_pod: MakePod, tmp_path: Path
) -> None:
    async def scenario() -> None:
        world = World(make_pod)
        endpoints = Endpoints(tmp_path, 0.3, world.collections, ("127.0.0.1", 6443))
        file = endpoints.file(TARGET)
        assert ports_in(file) == []

        endpoints.changed()
        await asyncio.sleep(0.1)
        assert ports_in(file) == [1001, 1002]
        written = file.stat().st_mtime_ns

        endpoints.changed()
        await asyncio.sleep(0.1)
        assert file.stat().st_mtime_ns == written, "an unchanged file must not wake its readers"

        world.ready["a"] = False
        endpoints.changed()
        await asyncio.sleep(0.1)
        assert ports_in(file) == [1001, 1002]
        await asyncio.sleep(0.35)
        assert ports_in(file) == [1002]

        world.services.clear()
        endpoints.changed()
        await asyncio.sleep(0.5)
        assert ports_in(file) == []
        endpoints.close()

    asyncio.run(scenario())


def test_names_tell_the_resolver_of_services_and_the_api_server(make_pod: MakePod, tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoints = Endpoints(tmp_path, 0.0, World(make_pod).collections, ("127.0.0.1", 6443))
        endpoints.changed()
        await asyncio.sleep(0.1)
        endpoints.close()
        assert json.loads(endpoints.names_file.read_text()) == {
            "default/kubernetes": {"headless": False, "ports": {"443": [["127.0.0.1", 6443]]}},
            "inference/chat": {
                "headless": True,
                "ports": {"8000": [["127.0.0.1", 1001], ["127.0.0.1", 1002]]},
            },
        }

    asyncio.run(scenario())
