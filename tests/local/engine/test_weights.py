"""What the emulator refuses about the folder that it is given, and which model it finds there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.engine.refusal import Refused
from local.engine.weights import model_in
from local.hub.server import Hub
from serving.weights.layout import MANIFEST, STAGING
from serving.weights.stager.__main__ import stage
from tests.listening import listening
from tests.local.engine.conftest import launch, quick_engine

MODEL, REVISION = "Qwen/Qwen3-8B", "b968826d9c46dd6066d109eabc6255188de91218"


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = Hub(0)
    with listening(server):
        yield server.url


@pytest.fixture
def staged(tmp_path: Path, hub: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUB_ENDPOINT", hub)
    folder = tmp_path / "model"
    stage(folder, {"folder": str(folder), "id": MODEL, "revision": REVISION, "source": "hub"})
    return folder


def test_a_staged_folder_is_the_model_of_its_manifest(staged: Path):
    assert model_in(staged).name == MODEL
    engine, _ = quick_engine(model=str(staged))
    assert engine.model.name == MODEL


def test_a_missing_folder_is_refused(tmp_path: Path):
    with pytest.raises(Refused, match="no such folder"):
        model_in(tmp_path / "nowhere")


def test_a_folder_that_is_being_changed_is_refused(staged: Path):
    (staged / MANIFEST).unlink()
    (staged / STAGING / "0123456789abcdef-part").write_bytes(b"a part")
    with pytest.raises(Refused, match="still being staged"):
        model_in(staged)


def test_a_file_that_is_not_the_staged_one_is_refused(staged: Path):
    shard = staged / "model-00001-of-00002.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Refused, match=r"model-00001-of-00002\.safetensors has another checksum"):
        model_in(staged)
    shard.write_bytes(content[:-1])
    with pytest.raises(Refused, match=f"has {len(content) - 1} bytes and not {len(content)}"):
        model_in(staged)
    shard.unlink()
    with pytest.raises(Refused, match="is missing"):
        model_in(staged)


@pytest.mark.parametrize("text", ["", "[]", '{"id": "x"}'])
def test_a_manifest_that_is_none_is_refused(staged: Path, text: str):
    (staged / MANIFEST).write_text(text)
    with pytest.raises(Refused, match="no manifest of the staging Job"):
        model_in(staged)


def test_a_model_that_the_table_lacks_is_refused(staged: Path):
    manifest = json.loads((staged / MANIFEST).read_text())
    (staged / MANIFEST).write_text(json.dumps({**manifest, "id": "nobody/nothing"}))
    with pytest.raises(Refused, match=r"models\.yaml"):
        model_in(staged)


def test_a_folder_without_a_manifest_is_read_by_its_configuration(staged: Path):
    (staged / MANIFEST).unlink()
    assert model_in(staged).layers == 36
    for shard in staged.glob("*.safetensors"):
        shard.unlink()
    with pytest.raises(Refused, match="Cannot find any model weights"):
        model_in(staged)


def test_the_process_ends_with_the_reason(tmp_path: Path):
    refused = launch(tmp_path, model=str(tmp_path / "nowhere"))
    assert refused.process.wait(timeout=20) == 1
    assert "refused to start" in refused.log.read_text()
