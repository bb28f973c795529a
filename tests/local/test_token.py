"""Tokens of the local gateway, with the keys of the state folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local import token as local_token
from local.paths import JWKS, KUBECONFIG, ROOT
from serving.gateway.tokens import verified
from stacks.config import LocalCluster
from stacks.load import PROJECT, parse
from stacks.signing_keys import KeyFileError, KeyFiles


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyFiles]:
    found = KeyFiles("local", tmp_path / "keys" / "jwks.json", tmp_path / "keys")
    monkeypatch.setattr(local_token, "FILES", found)
    monkeypatch.setattr(local_token, "JWKS", found.jwks)
    local_token._minted.cache_clear()
    yield found
    local_token._minted.cache_clear()


def test_the_key_is_made_once_and_opens_every_model(files: KeyFiles):
    local_token.ensure_key()
    local_token.ensure_key()
    assert len(files.public_keys()) == 1
    found = verified(local_token.token(), files.public_keys(), "local")
    assert (found.team, found.models) == ("load", ("*",))
    assert local_token.token() == local_token.token()
    assert local_token.authorization() == {"Authorization": f"Bearer {local_token.token()}"}
    assert verified(local_token.token("me"), files.public_keys(), "local").team == "me"


def test_without_a_cluster_it_says_how_to_get_one(files: KeyFiles):
    with pytest.raises(KeyFileError, match="`make up`"):
        local_token.token()


def test_a_lost_private_half_is_made_again(files: KeyFiles):
    local_token.ensure_key()
    (old,) = files.public_keys()
    files.private_file(old.kid).unlink()
    local_token.ensure_key()
    assert files.public_keys()[0] == old
    assert verified(local_token.token(), files.public_keys(), "local").team == "load"


def test_a_stack_file_gets_the_files_of_this_state_folder():
    config = yaml.safe_load((ROOT / "stacks" / "Pulumi.local.yaml").read_text())["config"]
    own = local_token.with_own_files(config)
    stack = parse({key.removeprefix(f"{PROJECT}:"): value for key, value in own.items()}, origin="test")
    assert isinstance(stack.cluster, LocalCluster)
    assert stack.cluster.kubeconfig == str(KUBECONFIG)
    assert stack.gateway.tokens.public_keys == str(JWKS)
    assert config[f"{PROJECT}:gateway"]["tokens"]["public_keys"] == ".local/keys/jwks.json"


def test_load_runs_have_a_rate_of_their_own():
    config = yaml.safe_load((ROOT / "stacks" / "Pulumi.local.yaml").read_text())["config"]
    limits = config[f"{PROJECT}:gateway"]["rate_limit"]
    assert limits["teams"][local_token.LOAD_TEAM]["requests_per_second"] >= 500
