"""`make key` and `make token`: a token alone on standard output, everything else for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.gateway.tokens import EVERY_MODEL, TokenError, verified
from stacks.commands.token import main, mint_for, rights
from stacks.load import parse
from stacks.signing_keys import KeyFileError, KeyFiles
from tests.stacks.environments import local_values


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles("local", tmp_path / "jwks.json", tmp_path / "private")


def run(files: KeyFiles, *arguments: str) -> int:
    return main(arguments, lambda _name, _stack: files)


def test_a_token_can_be_piped(files: KeyFiles, capsys: pytest.CaptureFixture[str]):
    files.create()
    assert run(files, "mint", "local", "--team", "search", "--models", "chat", "--days", "7") == 0
    out, err = capsys.readouterr()
    found = verified(out.strip(), files.public_keys(), "local")
    assert out == f"{out.strip()}\n"
    assert (found.team, found.models) == ("search", ("chat",))
    assert found.expires_at - found.issued_at == timedelta(days=7)
    for shown in (found.token_id, "search", "chat", f"{found.expires_at:%Y-%m-%d}"):
        assert shown in err
    assert out.strip() not in err


def test_without_models_it_is_all_that_the_stack_has_now(files: KeyFiles, capsys: pytest.CaptureFixture[str]):
    files.create()
    assert run(files, "mint", "local", "--team", "me", "--models", "", "--days", "") == 0
    found = verified(capsys.readouterr().out.strip(), files.public_keys(), "local")
    assert found.models == ("chat", "chat-large")
    assert found.expires_at - datetime.now(UTC) > timedelta(days=29)


def test_every_model_only_when_asked_for(files: KeyFiles, capsys: pytest.CaptureFixture[str]):
    files.create()
    assert run(files, "mint", "local", "--team", "me", "--models", "*") == 0
    found = verified(capsys.readouterr().out.strip(), files.public_keys(), "local")
    assert found.models == (EVERY_MODEL,)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "a token belongs to a team: make token STACK=local TEAM=search"),
        (("--team", "Search"), "must be a DNS label"),
        (("--team", "me", "--models", "chta"), "no model 'chta': did you mean chat? Valid: chat, chat-large"),
        (("--team", "me", "--models", "*,chat"), "every model already"),
        (("--team", "me", "--days", "91"), "days '91': must be a whole number from 1 to 90"),
        (("--team", "me", "--days", "0"), "days '0': must be a whole number"),
        (("--team", "me", "--days", "-1"), "days '-1': must be a whole number"),
        (("--team", "me", "--days", "1.5"), "days '1.5': must be a whole number"),
        (("--team", "me", "--days", "9" * 5000), "must be a whole number from 1 to 90"),
    ],
)
def test_a_mistake_is_one_line_and_no_token(
    files: KeyFiles, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
):
    files.create()
    # A value that begins with a dash is given as `--days=-1`, as the Makefile's quotes would not.
    joined = [f"{name}={value}" for name, value in zip(arguments[::2], arguments[1::2], strict=True)]
    assert run(files, "mint", "local", *joined) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert reason in err
    assert len(err.splitlines()) == 1


def test_no_key_and_no_private_half(files: KeyFiles, capsys: pytest.CaptureFixture[str]):
    assert run(files, "mint", "local", "--team", "me") == 1
    assert (
        "does not exist, so nobody could ask for anything: `make up` makes a key" in capsys.readouterr().err
    )
    key = files.create()
    files.private_file(key.kid).unlink()
    assert run(files, "mint", "local", "--team", "me") == 1
    err = capsys.readouterr().err
    assert f"no private half of the keys of local ({key.kid}) is in {files.folder}" in err
    assert "LLM_PLATFORM_SIGNING_KEYS" in err


def test_an_unknown_stack_names_the_others(files: KeyFiles, capsys: pytest.CaptureFixture[str]):
    assert run(files, "mint", "prdo", "--team", "me") == 1
    assert 'no stack "prdo": did you mean prod?' in capsys.readouterr().err


def test_a_planned_rotation(files: KeyFiles, capsys: pytest.CaptureFixture[str]):
    assert run(files, "key", "local") == 0
    assert run(files, "mint", "local", "--team", "me") == 0
    by_old = capsys.readouterr().out.strip()
    (old,) = files.public_keys()
    assert run(files, "key", "local", "--retire", "") == 0
    assert f"{old.kid} stays valid" in capsys.readouterr().err
    assert run(files, "mint", "local", "--team", "me") == 0
    by_new = capsys.readouterr().out.strip()
    for token in (by_old, by_new):
        assert verified(token, files.public_keys(), "local").team == "me"
    assert run(files, "key", "local") == 1
    assert f"RETIRE={old.kid}" in capsys.readouterr().err
    assert run(files, "key", "local", "--retire", old.kid) == 0
    assert f"rm {files.private_file(old.kid)}" in capsys.readouterr().err
    assert verified(by_new, files.public_keys(), "local").team == "me"
    with pytest.raises(TokenError, match="signed by no key"):
        verified(by_old, files.public_keys(), "local")


def values() -> dict[str, Any]:
    """`chat` with a second name and an adapter."""
    found = local_values()
    adapter = {"name": "support", "source": "hub://team/support", "revision": "a" * 40, "rank": 16}
    found["models"][0].update(aliases=["gpt-4o-mini"], adapters=[adapter])
    return found


def test_adapters_are_rights_and_aliases_are_not(files: KeyFiles):
    files.create()
    stack = parse(values(), origin="test")
    assert rights(stack) == ("chat", "support", "chat-large")
    _, content = mint_for(stack, files, "me", ["support"], timedelta(days=1))
    assert content.models == ("support",)
    with pytest.raises(TokenError, match="gpt-4o-mini is another name of chat"):
        mint_for(stack, files, "me", ["gpt-4o-mini"], timedelta(days=1))


def test_a_damaged_key_file_is_one_line(files: KeyFiles, capsys: pytest.CaptureFixture[str]):
    files.jwks.write_text("{", encoding="ascii")
    assert run(files, "mint", "local", "--team", "me") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "jwks.json: not JSON" in line
    with pytest.raises(KeyFileError):
        files.text()
