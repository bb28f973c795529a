"""The imitated hub against what is known of the real one's API."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.hub.repository import repository
from local.hub.server import Hub
from sizing.models.models import MODELS
from tests.listening import listening

REVISION = "a" * 40
MODEL = "Qwen/Qwen3-8B"
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    hub = Hub(0)
    with listening(hub), httpx.Client(base_url=hub.url, trust_env=False) as connection:
        yield connection


def info(client: httpx.Client, model: str = MODEL) -> dict[str, Any]:
    return client.get(f"/api/models/{model}/revision/{REVISION}?blobs=true").raise_for_status().json()


def content(client: httpx.Client, path: str, **headers: str) -> httpx.Response:
    return client.get(f"/{MODEL}/resolve/{REVISION}/{path}", headers=headers, follow_redirects=True)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_of_the_table_has_a_repository(model: str):
    files = repository(model, REVISION)
    assert files is not None
    assert json.loads(files["config.json"].content)
    assert sum(name.endswith(".safetensors") for name in files) == 2


def test_it_says_that_it_is_an_imitation(client: httpx.Client):
    assert "imitation" in client.get("/").text
    assert client.get(f"/api/models/{MODEL}/revision/{REVISION}").headers["X-Imitation"]


def test_the_listing_has_the_checksums_of_the_content(client: httpx.Client):
    answer = info(client)
    assert answer["sha"] == REVISION
    for sibling in answer["siblings"]:
        body = content(client, sibling["rfilename"]).content
        assert len(body) == sibling["size"]
        if "lfs" in sibling:
            assert sibling["lfs"]["sha256"] == hashlib.sha256(body).hexdigest()
        else:
            header = b"blob %d\0" % len(body)
            assert sibling["blobId"] == hashlib.sha1(header + body).hexdigest()


def test_weights_come_by_a_redirect_and_in_parts(client: httpx.Client):
    first = client.get(f"/{MODEL}/resolve/{REVISION}/{SHARD}")
    assert first.status_code == 302
    assert first.headers["X-Linked-Etag"]
    whole = content(client, SHARD).content
    part = content(client, SHARD, Range="bytes=100-")
    assert part.status_code == 206
    assert part.content == whole[100:]
    assert content(client, SHARD, Range=f"bytes={len(whole)}-").status_code == 416


def test_the_weights_are_safetensors(client: httpx.Client):
    body = content(client, SHARD).content
    (length,) = struct.unpack("<Q", body[:8])
    header = json.loads(body[8 : 8 + length])
    end = max(tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__")
    assert len(body) == 8 + length + end


def test_another_revision_has_other_weights():
    one, other = repository(MODEL, "a" * 40), repository(MODEL, "b" * 40)
    assert one is not None
    assert other is not None
    assert one[SHARD].content != other[SHARD].content


@pytest.mark.parametrize(
    "path",
    [
        f"/api/models/nobody/nothing/revision/{REVISION}",
        f"/api/models/{MODEL}/revision/main",
        f"/{MODEL}/resolve/{REVISION}/pytorch_model.bin",
        "/elsewhere",
    ],
)
def test_what_is_not_there_is_404_with_a_reason(client: httpx.Client, path: str):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["X-Error-Code"]


def test_adapters_are_known_by_their_name():
    files = repository("somebody/chat-lora-v2", REVISION)
    assert files is not None
    assert "adapter_config.json" in files
