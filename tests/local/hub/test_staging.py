"""The staging program with the imitated hub, run as the Job runs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.hub.server import Hub
from tests.serving.weights.hubs import MODEL, REVISION, item, manifest, run, serving


@pytest.fixture(scope="module")
def imitated() -> Iterator[str]:
    with serving(Hub(0)) as url:
        yield url


def test_what_is_staged_is_complete_and_says_what_it_is(tmp_path: Path, imitated: str):
    answer = run(imitated, item(tmp_path / "model"))
    assert answer.returncode == 0, answer.stderr
    found = manifest(tmp_path / "model")
    assert (found["id"], found["revision"]) == (MODEL, REVISION)
    names = {entry["path"] for entry in found["files"]}
    assert {"config.json", "tokenizer.json", "model-00001-of-00002.safetensors"} <= names
    assert "README.md" not in names
    for entry in found["files"]:
        content = (tmp_path / "model" / entry["path"]).read_bytes()
        assert len(content) == entry["size"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_a_second_run_verifies_and_downloads_nothing(tmp_path: Path, imitated: str):
    run(imitated, item(tmp_path / "model"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "model").rglob("*") if path.is_file()}
    answer = run(imitated, item(tmp_path / "model"))
    assert answer.returncode == 0
    assert "0.00 MiB downloaded" in answer.stdout
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert after == before


def test_a_damaged_file_is_downloaded_again_and_a_foreign_one_removed(tmp_path: Path, imitated: str):
    model = tmp_path / "model"
    run(imitated, item(model))
    shard = model / "model-00002-of-00002.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (model / "extra.safetensors").write_bytes(b"x")
    answer = run(imitated, item(model))
    assert answer.returncode == 0
    assert "checksum is wrong" in answer.stdout
    assert shard.read_bytes() == content
    assert not (model / "extra.safetensors").exists()


def test_adapters_lie_beside_the_model(tmp_path: Path, imitated: str):
    adapter = item(tmp_path / "adapters" / "polite", model="somebody/polite-lora", revision="c" * 40)
    answer = run(imitated, item(tmp_path / "model"), adapter)
    assert answer.returncode == 0, answer.stderr
    names = {entry["path"] for entry in manifest(tmp_path / "adapters" / "polite")["files"]}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}


def test_a_model_that_is_not_there_is_said_in_one_line(tmp_path: Path, imitated: str):
    answer = run(imitated, item(tmp_path / "model", model="nobody/nothing"))
    assert answer.returncode == 1
    assert answer.stderr.startswith("weights: nobody/nothing at b968826d")
    assert answer.stderr.count("\n") == 1
