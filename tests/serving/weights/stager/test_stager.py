"""The staging program where the hub misbehaves; tests/local/hub/test_staging.py has one that does not."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.weights.layout import MANIFEST, STAGING
from serving.weights.stager import files, folder, hub
from serving.weights.stager.download import choose, from_hub
from serving.weights.stager.files import File, Interrupted, Refused
from serving.weights.stager.hub import Repository
from tests.serving.weights.hubs import (
    MODEL,
    REVISION,
    WEIGHTS,
    Misbehaving,
    Reply,
    item,
    listing,
    manifest,
    run,
    send,
    serving,
)


def repository(url: str, token: str | None = None) -> Repository:
    return Repository(url, MODEL, REVISION, token)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "FIRST_PAUSE_SECONDS", 0.0)


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path):
    ranges: list[str | None] = []

    def broken(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        ranges.append(asked)
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Length", str(len(WEIGHTS) - begin))
        handler.end_headers()
        handler.wfile.write(WEIGHTS[begin : begin + 6000])
        handler.close_connection = True

    with serving(Misbehaving(listing(("model.safetensors", WEIGHTS)), broken)) as url:
        held, moved = from_hub(tmp_path, repository(url))
    assert (tmp_path / "model.safetensors").read_bytes() == WEIGHTS
    assert ranges == [None, "bytes=6000-", "bytes=12000-"]
    assert moved == len(WEIGHTS) == held[0].size


def test_a_server_that_knows_no_ranges_starts_over(tmp_path: Path):
    partial = tmp_path / files.PARTIAL
    partial.mkdir()
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    (partial / f"{digest[:16]}-model.safetensors").write_bytes(WEIGHTS[:100])
    whole: Reply = lambda handler: send(handler, 200, WEIGHTS)  # noqa: E731
    with serving(Misbehaving(listing(("model.safetensors", WEIGHTS)), whole)) as url:
        from_hub(tmp_path, repository(url))
    assert (tmp_path / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("wrong", [WEIGHTS[:-1] + b"x", WEIGHTS + b"x"], ids=["changed", "longer"])
def test_content_that_is_not_the_revisions_is_refused_and_not_kept(tmp_path: Path, wrong: bytes):
    body: Reply = lambda handler: send(handler, 200, wrong)  # noqa: E731
    with (
        serving(Misbehaving(listing(("model.safetensors", WEIGHTS)), body)) as url,
        pytest.raises(Refused, match=r"model\.safetensors is not the file of revision b968826d"),
    ):
        from_hub(tmp_path, repository(url))
    assert not list(tmp_path.rglob("*model.safetensors"))


def test_a_small_file_is_checked_by_gits_own_checksum(tmp_path: Path):
    files_of = {"model.safetensors": WEIGHTS, "config.json": b'{"a": 1}'}

    def content(handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.rsplit("/", 1)[1]
        send(handler, 200, files_of[name] if name != "config.json" else b'{"a": 2}')

    with (
        serving(Misbehaving(listing(*files_of.items()), content)) as url,
        pytest.raises(Refused, match=r"config\.json"),
    ):
        from_hub(tmp_path, repository(url))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_stays_busy_is_another_runs_work(tmp_path: Path, status: int):
    busy: Reply = lambda handler: send(handler, status)  # noqa: E731
    with (
        serving(Misbehaving(listing(("model.safetensors", WEIGHTS)), busy)) as url,
        pytest.raises(Interrupted, match=f"status {status}, {hub.ATTEMPTS} times"),
    ):
        from_hub(tmp_path, repository(url))


def test_nobody_listening_is_another_runs_work(tmp_path: Path):
    with pytest.raises(Interrupted) as answer:
        from_hub(tmp_path, repository("http://127.0.0.1:1"))
    assert "refused" in str(answer.value)


def test_a_gated_model_says_what_it_needs(tmp_path: Path):
    said = {"X-Error-Message": "Access to model is restricted"}
    gated: Reply = lambda handler: send(handler, 401, b"", said)  # noqa: E731
    with (
        serving(Misbehaving(gated, gated)) as url,
        pytest.raises(Refused, match=r"401 Access to model is restricted: a gated model needs a token"),
    ):
        from_hub(tmp_path, repository(url))


def test_the_token_goes_to_the_hub_and_not_to_the_store_behind_it(tmp_path: Path):
    seen: dict[str, str | None] = {}

    def store(handler: BaseHTTPRequestHandler) -> None:
        seen["store"] = handler.headers.get("Authorization")
        send(handler, 200, WEIGHTS)

    with serving(Misbehaving(store, store)) as elsewhere:

        def moved(handler: BaseHTTPRequestHandler) -> None:
            seen["hub"] = handler.headers.get("Authorization")
            send(handler, 302, b"", {"Location": f"{elsewhere}/model.safetensors"})

        with serving(Misbehaving(listing(("model.safetensors", WEIGHTS)), moved)) as url:
            from_hub(tmp_path, repository(url, token="not-a-real-one"))
    assert seen == {"hub": "Bearer not-a-real-one", "store": None}


def test_another_commit_than_the_asked_one_is_refused(tmp_path: Path):
    other = json.dumps({"sha": "f" * 40, "siblings": []}).encode()
    answer: Reply = lambda handler: send(handler, 200, other)  # noqa: E731
    with serving(Misbehaving(answer, answer)) as url, pytest.raises(Refused, match="the hub answered with"):
        from_hub(tmp_path, repository(url))


def test_a_page_that_is_no_api_is_refused(tmp_path: Path):
    page: Reply = lambda handler: send(handler, 200, b"<html>")  # noqa: E731
    with serving(Misbehaving(page, page)) as url, pytest.raises(Refused, match="does not answer as"):
        from_hub(tmp_path, repository(url))


# Which files.


def named(*paths: str) -> list[File]:
    return [File(path, 1, "0" * 64, None) for path in paths]


def test_only_safetensors_configuration_and_tokenizer_are_taken():
    listed = named(
        "config.json", "tokenizer.model", "merges.txt", "chat_template.jinja", "model.safetensors",
        "modeling_custom.py", "pytorch_model.bin", "original/consolidated.00.pth",
        "original/model.safetensors", "onnx/config.json", "1_Pooling/config.json", "README.md", "../up.json",
    )  # fmt: skip
    assert {file.path for file in choose(listed, None, MODEL)} == {
        "config.json", "tokenizer.model", "merges.txt", "chat_template.jinja", "model.safetensors",
        "1_Pooling/config.json",
    }  # fmt: skip


def test_the_index_decides_where_weights_lie_twice():
    listed = named("model-1.safetensors", "model-2.safetensors", "consolidated.safetensors")
    chosen = choose(listed, {"model-1.safetensors", "model-2.safetensors"}, MODEL)
    assert [file.path for file in chosen] == ["model-1.safetensors", "model-2.safetensors"]


def test_a_repository_with_pickles_only_is_refused_in_one_line():
    with pytest.raises(Refused, match=r"pytorch_model\.bin is refused \(SUP-003\)") as caught:
        choose(named("config.json", "pytorch_model.bin"), None, MODEL)
    assert "\n" not in str(caught.value)


@given(st.lists(st.sampled_from(["..", ".", "a", "", ".partial", "b.json", "weights.json"]), min_size=1))
def test_no_path_leaves_the_folder(parts: list[str]):
    path = "/".join(parts)
    if files.safe(path):
        assert (Path("/x") / path).resolve().is_relative_to("/x")
        assert not set(path.split("/")) & {files.PARTIAL, files.MANIFEST}


# Folders that somebody else filled.


def filled(path: Path, *extra: str, text: str | None = None) -> None:
    path.mkdir(exist_ok=True)
    contents = {"model.safetensors": b"weights", "config.json": b"{}", **{name: b"extra" for name in extra}}
    for name, body in contents.items():
        (path / name).write_bytes(body)
    lines = [f"{hashlib.sha256(body).hexdigest()}  {name}" for name, body in contents.items()]
    (path / files.CHECKSUMS).write_text("\n".join(lines) + "\n" if text is None else text)


def test_a_folder_with_right_checksums_gets_a_manifest(tmp_path: Path):
    filled(tmp_path)
    answer = run("http://127.0.0.1:1", item(tmp_path, source="s3://bucket/model", revision=""))
    assert answer.returncode == 0, answer.stderr
    digest = hashlib.sha256((tmp_path / files.CHECKSUMS).read_bytes()).hexdigest()
    assert manifest(tmp_path)["revision"] == digest


def test_nothing_is_written_to_a_claim_of_somebody_else(tmp_path: Path):
    filled(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    answer = run("http://127.0.0.1:1", item(tmp_path, source="pvc://models/chat", revision=""))
    assert answer.returncode == 0, answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path):
    with pytest.raises(Refused, match="no SHA256SUMS"):
        folder.verified(tmp_path, "s3://b/m")
    filled(tmp_path)
    (tmp_path / "config.json").write_bytes(b"[]")
    with pytest.raises(Refused, match=r"config\.json: expected"):
        folder.verified(tmp_path, "s3://b/m")
    filled(tmp_path)
    (tmp_path / "extra.safetensors").write_bytes(b"x")
    with pytest.raises(Refused, match=r"extra\.safetensors is not in SHA256SUMS"):
        folder.verified(tmp_path, "s3://b/m")
    (tmp_path / "extra.safetensors").unlink()
    (tmp_path / "config.json").unlink()
    with pytest.raises(Refused, match=r"config\.json is in SHA256SUMS and not in the folder"):
        folder.verified(tmp_path, "s3://b/m")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt", "x.pth"])
def test_a_pickle_in_a_folder_is_refused(tmp_path: Path, name: str):
    filled(tmp_path, name)
    with pytest.raises(Refused, match=r"SUP-003"):
        folder.verified(tmp_path, "pvc://models")


@pytest.mark.parametrize("text", ["nonsense", "0" * 64 + "  ../../etc/passwd", "0" * 63 + "  a.json"])
def test_checksums_that_sha256sum_did_not_write_are_refused(tmp_path: Path, text: str):
    filled(tmp_path, text=text)
    with pytest.raises(Refused, match="line 1 of SHA256SUMS"):
        folder.verified(tmp_path, "s3://b/m")


def test_the_manifest_is_called_the_same_on_both_sides():
    assert (files.MANIFEST, files.PARTIAL) == (MANIFEST, STAGING)
