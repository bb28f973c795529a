"""Folders that somebody else filled: whatever is there and not in the list is refused, by name."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.weights.stager import files, folder
from serving.weights.stager.files import Refused, is_pickle
from tests.serving.weights.hubs import item, run

SOURCES = ("pvc://models/chat", "s3://bucket/model")

UNLISTED = (
    "checkpoint.pth.tar", "a.npy", "a.npz", "a.dill", "a.pkl.gz", "a.joblib.z", "a.gguf", "a.onnx", "a.nemo",
    "a.tar", "a.so", "modeling_a.py", "a.yaml", "PYTORCH_MODEL.BIN", "MODEL.SAFETENSORS", "a.Safetensors",
    ".partial/extra.safetensors", ".partial/lock.json", ".hidden/model.safetensors", ".hidden", "README.md",
    "LICENSE", ".gitattributes", "weights.json.new", "SHA256SUMS.txt", "sha256sums", "Weights.json",
    "sub/SHA256SUMS", "sub/weights.json", "1_Pooling/config.json", "a.bin", "a.pt", "a.pth", "a.ckpt",
    "a.pkl", "a.pickle", "a.joblib", "a.msgpack", "a.h5", "extra.safetensors", "extra.json", "extra.txt",
    "no-ending", "a.unknown", "new\nline.json", "lost+found/model.safetensors",
    "a.safetensors.0123abcd.partial.json",
)  # fmt: skip


def filled(path: Path, *extra: str) -> None:
    """A folder with a right list of its files; `extra` are in the list too."""
    path.mkdir(exist_ok=True)
    contents = {"model.safetensors": b"weights", "config.json": b"{}", **dict.fromkeys(extra, b"extra")}
    for name, body in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(body)
    lines = [f"{hashlib.sha256(body).hexdigest()}  {name}" for name, body in contents.items()]
    (path / files.CHECKSUMS).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", UNLISTED)
def test_what_is_not_in_the_list_is_refused_by_name(tmp_path: Path, name: str, source: str):
    filled(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(Refused) as caught:
        folder.verified(tmp_path, source)
    assert files.shown(name) in str(caught.value)
    assert "\n" not in str(caught.value)


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(
    lambda name: name not in (".", "..", files.CHECKSUMS, files.MANIFEST, "model.safetensors", "config.json")
)


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_any_other_name_at_any_depth_is_refused(tmp_path_factory: pytest.TempPathFactory, parts: list[str]):
    path = tmp_path_factory.mktemp("claim")
    filled(path)
    target = path.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"x")
    with pytest.raises(Refused, match=r"not in SHA256SUMS|SUP-003"):
        folder.verified(path, "pvc://models")


def fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def listening_socket(path: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def link_out(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "model.safetensors")


def link_up(path: Path, outside: Path) -> None:
    path.symlink_to("../outside/model.safetensors")


def link_to_folder(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def link_to_folder_inside(path: Path, outside: Path) -> None:
    (path.parent / "real").mkdir()
    path.symlink_to("real")


def link_to_itself(path: Path, outside: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path, outside: Path) -> None:
    path.symlink_to("nothing")


def link_to_device(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("listed", ["listed", "not listed"])
@pytest.mark.parametrize("name", ["extra.safetensors", "1_Pooling", ".hidden", "sub/extra", "weights.json"])
@pytest.mark.parametrize(
    "make",
    [
        fifo,
        listening_socket,
        link_out,
        link_up,
        link_to_folder,
        link_to_folder_inside,
        link_to_itself,
        link_to_nothing,
        link_to_device,
    ],
)
def test_links_out_links_to_folders_and_special_files_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path, Path], None],
    name: str,
    listed: str,
):
    claim, outside = tmp_path / "claim", tmp_path / "outside"
    filled(outside)
    filled(claim, *([name] if listed == "listed" else []))
    path = claim / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    monkeypatch.chdir(path.parent)  # A socket's path may have 107 bytes.
    make(path if make is not listening_socket else Path(path.name), outside)
    with pytest.raises(Refused) as caught:
        folder.verified(claim, "pvc://models")
    assert f"pvc://models: {name} is " in str(caught.value)


def test_a_link_inside_the_folder_counts_as_its_file(tmp_path: Path):
    filled(tmp_path, "again.safetensors")
    (tmp_path / "again.safetensors").unlink()
    (tmp_path / "again.safetensors").symlink_to("config.json")
    with pytest.raises(Refused, match=r"again\.safetensors: expected"):
        folder.verified(tmp_path, "pvc://models")
    filled(tmp_path)
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "again.safetensors").unlink()
    (tmp_path / "again.safetensors").symlink_to("model.safetensors")
    with (tmp_path / files.CHECKSUMS).open("a") as sums:
        sums.write(f"{digest}  again.safetensors\n")
    assert {held.path for held in folder.verified(tmp_path, "pvc://models").held} == {
        "model.safetensors",
        "config.json",
        "again.safetensors",
    }


@pytest.mark.parametrize("source", SOURCES)
def test_named_leftovers_need_no_checksum(tmp_path: Path, source: str):
    filled(tmp_path)
    (tmp_path / files.MANIFEST).write_text("{}")
    (tmp_path / files.PARTIAL).mkdir()
    (tmp_path / files.PARTIAL / "lock").touch()
    (tmp_path / "lost+found").mkdir()
    assert len(folder.verified(tmp_path, source).held) == 2


def test_what_rclone_has_not_finished_is_left_to_it_and_removed_once_it_is_old(tmp_path: Path):
    filled(tmp_path)
    copying = tmp_path / "model.safetensors.0123abcd.partial"
    copying.write_bytes(b"x")
    folder.verified(tmp_path, "s3://bucket/model")
    assert copying.exists()
    with pytest.raises(Refused, match="not in SHA256SUMS"):
        folder.verified(tmp_path, "pvc://models")
    old = time.time() - folder.COPYING_SECONDS - 1
    os.utime(copying, (old, old))
    folder.verified(tmp_path, "s3://bucket/model")
    assert not copying.exists()


@pytest.mark.parametrize("ending", files.PICKLE)
@pytest.mark.parametrize("packed", ["", ".gz", ".tar.gz", ".Z", ".bak", ".1"])
def test_a_pickle_is_refused_though_listed_in_any_case_and_packing(tmp_path: Path, ending: str, packed: str):
    for name in (f"x{ending}{packed}", f"X{ending.upper()}{packed.upper()}", f"sub/x{ending}{packed}"):
        assert is_pickle(name)
        claim = tmp_path / name.replace("/", "-")
        filled(claim, name)
        with pytest.raises(Refused, match="SUP-003"):
            folder.verified(claim, "pvc://models")


def test_an_index_of_pickles_is_no_pickle():
    assert not is_pickle("pytorch_model.bin.index.json")
    assert not is_pickle("robin")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "line 1 of SHA256SUMS is not UTF-8"),
        (b"\n\n" + b"0" * 64 + b"  \xff", "line 3 of SHA256SUMS is not UTF-8"),
        (b"0" * 64 + b"  a\0b", "line 1"),
        (b"0" * 64 + b"  a\n" + b"1" * 64 + b"  ./a", "line 2 of SHA256SUMS gives a a second checksum"),
        (b"0" * 64 + b"  /etc/passwd", "line 1"),
        (b"0" * 64 + b"  a//b", "line 1"),
        (b"0" * 64 + b"  " + b"a" * 256, "line 1"),
        (b"", "no .safetensors|not in SHA256SUMS"),
    ],
)
def test_an_odd_list_is_one_line(tmp_path: Path, content: bytes, says: str):
    filled(tmp_path)
    (tmp_path / files.CHECKSUMS).write_bytes(content)
    with pytest.raises(Refused, match=says) as caught:
        folder.verified(tmp_path, "pvc://models")
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300))
def test_no_list_is_a_traceback(content: bytes):
    said = ""
    try:
        found = dict(folder.checksums(content, "pvc://models"))
    except Refused as refusal:
        said, found = str(refusal), {}
    assert len(said.splitlines()) <= 1
    assert all(files.possible(name) for name in found)


def test_a_list_that_is_a_link_or_a_folder_is_refused(tmp_path: Path):
    filled(tmp_path)
    (tmp_path / files.CHECKSUMS).rename(tmp_path.parent / "sums")
    (tmp_path / files.CHECKSUMS).symlink_to(tmp_path.parent / "sums")
    answer = run("http://127.0.0.1:1", item(tmp_path, source="pvc://models", revision=""))
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    (tmp_path / files.CHECKSUMS).unlink()
    (tmp_path / files.CHECKSUMS).mkdir()
    answer = run("http://127.0.0.1:1", item(tmp_path, source="pvc://models", revision=""))
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)


def test_a_bucket_that_is_wrong_now_has_no_manifest_any_more(tmp_path: Path):
    filled(tmp_path)
    wanted = item(tmp_path, source="s3://bucket/model", revision="")
    assert run("http://127.0.0.1:1", wanted).returncode == 0
    assert (tmp_path / files.MANIFEST).exists()
    (tmp_path / "config.json").write_bytes(b"[]")
    assert run("http://127.0.0.1:1", wanted).returncode == 1
    assert not (tmp_path / files.MANIFEST).exists()
