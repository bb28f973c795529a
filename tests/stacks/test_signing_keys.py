"""Keys in files: made for their owner only, two at most, and never half done."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from serving.jwks import PublicKey, read_jwks, write_jwks
from serving.tokens import new_key
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
