"""Keys in files: made for their owner only, two at most, and never half done."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from serving.gateway.jwks import PublicKey, read_jwks, write_jwks
from serving.gateway.tokens import new_key
from stacks.load import parse
from stacks.signing_keys import ROOT, KeyFileError, KeyFiles, key_files
from tests.stacks.environments import aws_values, local_values


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles("prod", tmp_path / "stacks" / "prod.jwks.json", tmp_path / "private")


def test_a_new_key_signs_and_only_its_owner_reads_it(files: KeyFiles):
    key = files.create()
    assert files.public_keys() == (key.public,)
    found = files.signing_key()
    assert found is not None
    assert found.kid == key.kid
    assert stat.S_IMODE(files.private_file(key.kid).stat().st_mode) == 0o600
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    assert "PRIVATE" not in files.jwks.read_text()
    assert {path.name for path in files.jwks.parent.iterdir()} == {"prod.jwks.json"}


def test_two_keys_at_once_and_the_newer_one_signs(files: KeyFiles):
    old, new = files.create(), files.create()
    assert [key.kid for key in files.public_keys()] == [old.kid, new.kid]
    found = files.signing_key()
    assert found is not None
    assert found.kid == new.kid
    # On a machine that has the older private half only, that one signs.
    files.private_file(new.kid).unlink()
    found = files.signing_key()
    assert found is not None
    assert found.kid == old.kid
    files.private_file(old.kid).unlink()
    assert files.signing_key() is None


def test_a_third_key_says_which_to_retire_and_writes_nothing(files: KeyFiles):
    old, _ = files.create(), files.create()
    before = files.jwks.read_bytes(), set(files.folder.iterdir())
    with pytest.raises(KeyFileError, match=f"make key STACK=prod RETIRE={old.kid}"):
        files.create()
    assert (files.jwks.read_bytes(), set(files.folder.iterdir())) == before
    files.retire(old.kid)
    assert len(files.public_keys()) == 1
    assert len(read_jwks(files.text())) == 1
    files.create()


def test_what_cannot_be_retired(files: KeyFiles):
    with pytest.raises(KeyFileError, match=r"does not exist.*`make key STACK=prod`"):
        files.retire("a")
    key = files.create()
    with pytest.raises(KeyFileError, match=f"has no key 'other': Valid: {key.kid}"):
        files.retire("other")
    with pytest.raises(KeyFileError, match="is the only key"):
        files.retire(key.kid)
    assert files.public_keys() == (key.public,)


def test_a_private_file_that_others_may_read(files: KeyFiles):
    key = files.create()
    files.private_file(key.kid).chmod(0o640)
    with pytest.raises(KeyFileError, match="can be read by others: if nobody has, `chmod 600 "):
        files.signing_key()


def test_a_private_file_of_another_key(files: KeyFiles):
    key = files.create()
    files.private_file(key.kid).write_bytes(new_key().pem())
    with pytest.raises(KeyFileError, match="is not the private half of the key that it is named after"):
        files.signing_key()
    files.private_file(key.kid).write_text("-----BEGIN something", encoding="ascii")
    with pytest.raises(KeyFileError, match="not a private key in PEM") as raised:
        files.signing_key()
    assert "BEGIN something" not in str(raised.value)


def test_a_key_of_somebody_else_keeps_its_name(files: KeyFiles):
    key = new_key()
    files.folder.mkdir(parents=True)
    files.jwks.parent.mkdir(parents=True)
    files.jwks.write_text(write_jwks([PublicKey("kms-1", key.public.x, key.public.y)]))
    files.private_file("kms-1").touch(mode=0o600)
    files.private_file("kms-1").write_bytes(key.pem())
    found = files.signing_key()
    assert found is not None
    assert found.kid == "kms-1"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", json.dumps({"keys": [{"d": "x"}]}).encode()])
def test_a_file_that_is_no_jwks_is_named_and_left_alone(files: KeyFiles, content: bytes):
    files.jwks.parent.mkdir(parents=True)
    files.jwks.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"prod\.jwks\.json"):
        files.create()
    assert files.jwks.read_bytes() == content
    assert not files.folder.exists()


def test_a_folder_that_cannot_be_written(files: KeyFiles):
    files.folder.parent.mkdir(exist_ok=True)
    files.folder.write_text("a file", encoding="ascii")
    with pytest.raises(KeyFileError, match="the key cannot be written"):
        files.create()
    assert not files.jwks.exists()


def test_where_keys_are(tmp_path: Path):
    local = key_files("local", parse(local_values(), origin="test"), {})
    assert (local.jwks, local.folder) == (ROOT / ".local/keys/jwks.json", ROOT / ".local/keys")
    cloud = parse(aws_values(), origin="test")
    assert key_files("prod", cloud, {}).folder == Path.home() / ".config/llm-platform/prod"
    elsewhere = {"LLM_PLATFORM_SIGNING_KEYS": str(tmp_path)}
    assert key_files("prod", cloud, elsewhere).folder == tmp_path
    # A local cluster's keys go with it.
    assert key_files("local", parse(local_values(), origin="test"), elsewhere).folder == local.folder


# Several at once.


def at_once(actions: Sequence[Callable[[], object]]) -> list[str]:
    """Runs each in a process of its own, all in the same moment. Returns what each said, in order."""
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(len(actions)), context.SimpleQueue()

    def one(number: int, action: Callable[[], object]) -> None:
        barrier.wait(30)
        try:
            answers.put((number, f"done: {action()}"))
        except KeyFileError as error:
            answers.put((number, f"error: {error}"))

    processes = [context.Process(target=one, args=pair) for pair in enumerate(actions)]
    for process in processes:
        process.start()
    said = dict(answers.get() for _ in processes)
    for process in processes:
        process.join(30)
    return [said[number] for number in range(len(actions))]


def makes(files: KeyFiles) -> Callable[[], str]:
    return lambda: files.create().kid


def assert_whole(files: KeyFiles) -> None:
    """Each public half has its private one and the other way round, and nothing else was left."""
    kids = {key.kid for key in files.public_keys()}
    assert {path.stem for path in files.folder.iterdir()} == kids
    assert {path.name for path in files.jwks.parent.iterdir()} == {files.jwks.name}
    assert stat.S_IMODE(files.jwks.stat().st_mode) == 0o644


@pytest.mark.parametrize("before", [0, 1])
def test_pairs_that_make_keys_at_once_lose_none(tmp_path: Path, before: int):
    stacks = [
        KeyFiles(
            f"s{number}", tmp_path / f"{number}" / "keys" / "jwks.json", tmp_path / f"{number}" / "private"
        )
        for number in range(25)
    ]
    for files in stacks:
        for _ in range(before):
            files.create()
    said = at_once([makes(files) for files in stacks for _ in range(2)])
    for number, files in enumerate(stacks):
        assert_whole(files)
        pair = said[2 * number : 2 * number + 2]
        made = {line.removeprefix("done: ") for line in pair if line.startswith("done: ")}
        assert made <= {key.kid for key in files.public_keys()}
        assert len(made) == 2 - before
        assert all("has 2 keys already" in line for line in pair if line.startswith("error: "))


def test_a_key_that_is_retired_while_another_is_made(tmp_path: Path, files: KeyFiles):
    for _ in range(10):
        while not files.jwks.exists() or len(files.public_keys()) < 2:
            files.create()
        old, kept = (key.kid for key in files.public_keys())
        made, retired = at_once([makes(files), lambda kid=old: files.retire(kid).kid])
        assert retired == f"done: {old}"
        files.private_file(old).unlink()
        assert_whole(files)
        kids = [key.kid for key in files.public_keys()]
        assert kids == [kept, *([made.removeprefix("done: ")] if made.startswith("done: ") else [])]


def test_many_that_need_a_key_make_one(files: KeyFiles):
    assert at_once([files.ensure] * 8) == ["done: None"] * 8
    assert_whole(files)
    assert len(files.public_keys()) == 1


def test_on_nfs_the_lock_is_a_file(files: KeyFiles, monkeypatch: pytest.MonkeyPatch):
    real = fcntl.flock

    def of_nfs(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    key = files.create()
    assert files.public_keys() == (key.public,)


def test_where_the_jwks_cannot_be_written_no_private_half_is_left(
    files: KeyFiles, monkeypatch: pytest.MonkeyPatch
):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        files.create()
    assert not list(files.folder.iterdir())
    assert not list(files.jwks.parent.iterdir())


# Who else may see them.


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755, 0o750, 0o701, 0o710, 0o720, 0o1777])
def test_a_folder_that_is_open_to_others_is_refused(files: KeyFiles, mode: int):
    files.create()
    files.folder.chmod(mode)
    with pytest.raises(KeyFileError, match=f"is open to others .* chmod 700 {files.folder}"):
        files.create()
    if mode & 0o022:
        with pytest.raises(KeyFileError, match=f"is open to others .* chmod 700 {files.folder}"):
            files.signing_key()
    else:
        assert files.signing_key() is not None
    assert len(files.public_keys()) == 1


def test_no_private_key_in_a_checkout_can_be_committed():
    names = ["a.pem", "keys/prod/kid.pem", "a.key", "tls.p12", "id_ed25519", "stacks/keys/private.json"]
    public = ["stacks/keys/prod.jwks.json", "requirements.lock"]
    answer = subprocess.run(
        ["git", "check-ignore", "--no-index", *names, *public],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.split() == names
