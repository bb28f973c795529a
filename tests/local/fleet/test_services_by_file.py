"""A gateway that finds engines by the fleet's files answers as one that finds them by DNS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.fleet.discovery import Target
from local.fleet.envoy import Translator, load_assignment
from local.fleet.rewrite import Rewriter
from serving.gateway.clusters import cluster_documents
from serving.gateway.documents import Document, to_yaml
from tests.serving.gateway.engine_server import Engine, serving
from tests.serving.gateway.gateway_process import running
from tests.serving.gateway.name_server import naming
from tests.serving.gateway.test_arrivals import CHAT_MODEL, LIMIT, asleep, by_dns, wait_for_status
from tests.serving.gateway.test_routing import answers_by_its_name, ask, engines, with_canary


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with serving() as started:
        yield started


def by_file(file: Path) -> Document:
    """The rendered clusters as the local fleet translates them."""
    translator = Translator(Rewriter(), "gateway", lambda target: file)
    plain: Any = yaml.safe_load(to_yaml(cluster_documents(CHAT_MODEL)))
    return translator.document(plain)


def write_endpoints(file: Path, *ports: int) -> None:
    document = load_assignment(Target("inference", "chat", 8000), [("127.0.0.1", port) for port in ports])
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(document), encoding="utf-8")
    temporary.replace(file)


def test_an_empty_service_is_the_same_by_dns_and_by_file(engine: Engine, tmp_path: Path):
    dns, files = tmp_path / "dns", tmp_path / "files"
    file = files / "endpoints" / "chat.json"
    for folder in (dns, file.parent):
        folder.mkdir(parents=True)
    write_endpoints(file)
    with (
        naming() as zone,
        running(dns, {"chat": []}, LIMIT, clusters=by_dns(zone, engine.port)) as named,
        running(files, {"chat": []}, LIMIT, clusters=by_file(file)) as listed,
    ):
        assert zone.questions > 0
        assert asleep(named) == asleep(listed)
        # The first replica comes, and is the last to go.
        zone.addresses.append("127.0.0.1")
        write_endpoints(file, engine.port)
        for gateway in (named, listed):
            wait_for_status(gateway, 200)
        zone.addresses.clear()
        write_endpoints(file)
        for gateway in (named, listed):
            wait_for_status(gateway, 503)
        assert asleep(named) == asleep(listed)


def test_the_service_that_answered_is_named_by_dns_and_by_file_alike(tmp_path: Path):
    with engines("chat") as found, naming("127.0.0.1") as zone, ExitStack() as stack:
        dns, files = tmp_path / "dns", tmp_path / "files"
        for folder in (dns, files / "endpoints"):
            folder.mkdir(parents=True)
        file = files / "endpoints" / "chat.json"
        write_endpoints(file, found["chat"].port)
        documents = [(dns, by_dns(zone, found["chat"].port)), (files, by_file(file))]
        for folder, clusters in documents:
            gateway = stack.enter_context(running(folder, {"chat": []}, LIMIT, clusters=clusters))
            answers_by_its_name(gateway)


def test_the_local_fleet_finds_canary_and_model_by_file(tmp_path: Path):
    """Each Service's endpoints are in a file; clusters made of others pass through as they are."""
    folder = tmp_path / "endpoints"
    folder.mkdir()
    model = with_canary(50)
    with engines("chat", "chat-canary") as found:
        for name, engine in found.items():
            document = load_assignment(Target("inference", name, 8000), [("127.0.0.1", engine.port)])
            (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
        translator = Translator(Rewriter(), "gateway", lambda target: folder / f"{target.service}.json")
        plain: Any = yaml.safe_load(to_yaml(cluster_documents([model])))
        with running(tmp_path, {}, LIMIT, clusters=translator.document(plain), models=[model]) as gateway:
            answered = {ask(gateway, "chat").service for _ in range(60)}
    assert answered == {"chat", "chat-canary"}
