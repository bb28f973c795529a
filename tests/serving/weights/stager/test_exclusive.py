"""Several stagers on one volume, killed ones, and volumes that hold something else than what was written."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from serving.weights.layout import MANIFEST
from serving.weights.stager import __main__ as stager
from serving.weights.stager import download, exclusive, files, hub
from serving.weights.stager.files import File, Interrupted, Refused
from serving.weights.stager.hub import Repository
from tests.serving.weights.hubs import (
    MODEL,
    REVISION,
    WEIGHTS,
    Misbehaving,
    ended,
    item,
    listing,
    manifest,
    run,
    send,
    serving,
    start,
)

CONTENTS = {
    "model.safetensors": os.urandom(1_500_000),
    "adapter_model.safetensors": os.urandom(300_000),
    "config.json": b"{}",
}
BYTES_PER_SECOND = 3_000_000


class SlowHub(Misbehaving):
    """One repository, whose content comes slowly, as from a hub that is far away."""

    def __init__(self, bytes_per_second: float = BYTES_PER_SECOND) -> None:
        self.asked: list[str | None] = []

        def content(handler: BaseHTTPRequestHandler) -> None:
            name, asked = handler.path.rsplit("/", 1)[1], handler.headers.get("Range")
            self.asked.append(asked)
            body = CONTENTS[name]
            begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            handler.send_response(206 if asked else 200)
            handler.send_header("Content-Length", str(len(body) - begin))
            handler.end_headers()
            for at in range(begin, len(body), 50_000):
                handler.wfile.write(body[at : at + 50_000])
                time.sleep(50_000 / bytes_per_second)

        super().__init__(listing(*CONTENTS.items()), content)


@pytest.fixture
def slow() -> Iterator[SlowHub]:
    with serving(server := SlowHub()):
        yield server


def address(server: SlowHub) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def assert_right(folder: Path) -> None:
    """The manifest is true, and so is every file that the folder shows."""
    listed = {entry["path"]: entry for entry in manifest(folder)["files"]}
    assert set(listed) == set(CONTENTS)
    for name, content in CONTENTS.items():
        assert (folder / name).read_bytes() == content
        assert listed[name]["sha256"] == hashlib.sha256(content).hexdigest()
    shown = {path.name for path in folder.iterdir() if path.name != files.PARTIAL}
    assert shown == {*CONTENTS, MANIFEST}
    assert [path.name for path in (folder / files.PARTIAL).iterdir()] == [exclusive.LOCK]


def assert_ended_well(answer: subprocess.CompletedProcess[str]) -> None:
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.3])
def test_two_stagers_on_one_folder_both_end_with_the_right_files(tmp_path: Path, slow: SlowHub, apart: float):
    folder = tmp_path / "model"
    first = start(address(slow), item(folder))
    time.sleep(apart)
    second = start(address(slow), item(folder))
    answers = [ended(first), ended(second)]
    for answer in answers:
        assert_ended_well(answer)
    assert_right(folder)
    # Nothing came twice: the second found what the first had made.
    assert sorted("0.00 MiB downloaded" in answer.stdout for answer in answers) == [False, True]
    assert len(slow.asked) == len(CONTENTS)


def test_three_at_once_with_base_and_adapter_on_one_claim(tmp_path: Path, slow: SlowHub):
    base, adapter = item(tmp_path / "model"), item(tmp_path / "adapters" / "polite")
    running = [
        start(address(slow), base, adapter),
        start(address(slow), base),
        # In the other order: whoever waits for one folder while it holds the other would wait for ever.
        start(address(slow), adapter, base),
    ]
    for process in running:
        assert_ended_well(ended(process))
    assert_right(tmp_path / "model")
    assert_right(tmp_path / "adapters" / "polite")


@pytest.mark.parametrize("with_what", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_stagers_part_is_continued(tmp_path: Path, slow: SlowHub, with_what: signal.Signals):
    folder = tmp_path / "model"
    first = start(address(slow), item(folder))
    part = biggest_part(folder, 400_000)
    second = start(address(slow), item(folder))
    time.sleep(0.1)
    # A living stager's part is its own.
    assert biggest_part(folder, 400_000) == part
    first.send_signal(with_what)
    killed = ended(first)
    assert killed.returncode == (-9 if with_what == signal.SIGKILL else stager.AGAIN)
    assert_ended_well(ended(second))
    assert_right(folder)
    assert any(asked is not None for asked in slow.asked), "nothing was continued"


def biggest_part(folder: Path, at_least: int) -> Path:
    """The part that has so many bytes, once there is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in (folder / files.PARTIAL).glob("*-*"):
            if path.is_file() and path.stat().st_size >= at_least:
                return path
        time.sleep(0.01)
    raise AssertionError("no part grew")


def test_while_something_changes_there_is_no_manifest(tmp_path: Path, slow: SlowHub):
    folder = tmp_path / "model"
    assert_ended_well(run(address(slow), item(folder)))
    (folder / "model.safetensors").write_bytes(b"damaged")
    again = start(address(slow), item(folder))
    biggest_part(folder, 1)
    assert not (folder / MANIFEST).exists()
    assert_ended_well(ended(again))
    assert_right(folder)


def test_patience_ends_with_a_line_that_says_what_to_do(tmp_path: Path):
    folder = tmp_path / "model"
    with exclusive.alone([folder], 0.0):
        answer = run("http://127.0.0.1:1", item(folder), STAGE_PATIENCE_SECONDS="0.5")
    assert answer.returncode == stager.AGAIN
    assert answer.stderr.count("\n") == 1
    assert "another stager is still at work" in answer.stderr
    assert "delete the Job" in answer.stderr
    assert "waiting for its end" in answer.stdout


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        pytest.raises(Refused, match=r"no file locks .*mount NFS without nolock"),
        exclusive.alone([tmp_path], 0.0),
    ):
        pass


# What is hashed is what is on the volume.


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "FIRST_PAUSE_SECONDS", 0.0)


def one_file(tmp_path: Path) -> tuple[Misbehaving, dict[str, str]]:
    server = Misbehaving(listing(("model.safetensors", WEIGHTS)), lambda handler: send(handler, 200, WEIGHTS))
    return server, item(tmp_path / "model")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("damage", ["appended", "changed", "cut"])
def test_a_part_that_is_not_what_was_written_never_gets_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, times: int
):
    """Another writer, or a disk that loses bytes: after the last byte came, before the file has its name."""
    real, done = download._transfer, []  # pyright: ignore[reportPrivateUsage]

    def damaging(*arguments: object) -> object:
        answer = real(*arguments)  # type: ignore[arg-type]
        (path,) = (tmp_path / "model" / files.PARTIAL).glob("*-*")
        if len(done) < times:
            done.append(path)
            arguments[2].flush()  # type: ignore[attr-defined]
            with path.open("r+b") as other:
                if damage == "cut":
                    other.truncate(len(WEIGHTS) - 1)
                else:
                    other.seek(0, os.SEEK_END if damage == "appended" else os.SEEK_SET)
                    other.write(b"other")
        return answer

    monkeypatch.setattr(download, "_transfer", damaging)
    server, wanted = one_file(tmp_path)
    folder = tmp_path / "model"
    with serving(server) as url:
        monkeypatch.setenv("HUB_ENDPOINT", url)
        if times == 1:
            stager.stage(folder, wanted)
            assert (folder / "model.safetensors").read_bytes() == WEIGHTS
        else:
            with pytest.raises(Refused, match="is not the file of revision"):
                stager.stage(folder, wanted)
            assert not (folder / "model.safetensors").exists()
            assert not (folder / MANIFEST).exists()


@pytest.mark.parametrize("change", ["written to", "replaced", "removed"])
def test_a_file_that_changes_after_it_was_verified_gets_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
):
    real, target = download.sweep, tmp_path / "model" / "model.safetensors"

    def changing(folder: Path, identities: set[str]) -> None:
        real(folder, identities)
        if target.exists():
            content = target.read_bytes()
            if change != "written to":
                target.unlink()
            if change != "removed":
                target.write_bytes(content)

    monkeypatch.setattr(download, "sweep", changing)
    server, wanted = one_file(tmp_path)
    with serving(server) as url:
        monkeypatch.setenv("HUB_ENDPOINT", url)
        with pytest.raises(Interrupted, match="was changed after it was verified"):
            stager.stage(tmp_path / "model", wanted)
    assert not (tmp_path / "model" / MANIFEST).exists()


def test_parts_of_the_living_stay_and_those_of_the_dead_go(tmp_path: Path):
    workplace = tmp_path / files.PARTIAL
    workplace.mkdir()
    file = File("model.safetensors", 10, "a" * 64, None)
    (workplace / f"{'b' * 16}-left").write_bytes(b"left")
    (workplace / "link").symlink_to(tmp_path)
    with exclusive.part(tmp_path, file) as (mine, stream):
        stream.write(b"mine")
        stream.flush()
        with exclusive.part(tmp_path, file) as (other, _):
            assert other != mine
        exclusive.sweep(tmp_path, set())
        assert [path.name for path in workplace.iterdir()] == [mine.name]
    with exclusive.part(tmp_path, file) as (continued, stream):
        assert not mine.exists()
        stream.seek(0)
        assert stream.read() == b"mine"
    exclusive.sweep(tmp_path, {"a" * 64})
    assert continued.exists()


@pytest.mark.parametrize(
    "what", ["link to a file", "link to a folder", "folder", "pipe", "right file by a link"]
)
def test_whatever_lies_under_the_name_of_a_file_is_replaced_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    folder, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    victim = elsewhere / "file"
    victim.write_bytes(WEIGHTS if what == "right file by a link" else b"mine")
    target = folder / "model.safetensors"
    match what:
        case "link to a folder":
            target.symlink_to(elsewhere)
        case "folder":
            target.mkdir()
        case "pipe":
            os.mkfifo(target)
        case _:
            target.symlink_to(victim)
    before = victim.read_bytes()
    (folder / "1_Pooling").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe.json")
    server, wanted = one_file(tmp_path)
    with serving(server) as url:
        monkeypatch.setenv("HUB_ENDPOINT", url)
        stager.stage(folder, wanted)
    assert target.read_bytes() == WEIGHTS
    assert not target.is_symlink()
    assert victim.read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", MANIFEST, files.PARTIAL}
    assert [path.name for path in elsewhere.iterdir()] == ["file"]


def test_the_same_content_under_two_names_is_two_files(tmp_path: Path):
    contents = {"model.safetensors": WEIGHTS, "1_Pooling/config.json": b"{}", "1_Pooling--config.json": b"{}"}

    def content(handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.split(f"/resolve/{REVISION}/", 1)[1]
        time.sleep(0.02)
        send(handler, 200, contents[name])

    with serving(Misbehaving(listing(*contents.items()), content)) as url:
        download.from_hub(tmp_path, Repository(url, MODEL, REVISION, None))
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
