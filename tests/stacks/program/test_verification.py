"""Which token the verify Job gets, and when an update must not begin for want of one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret, unwrap_rpc_secret

from serving.gateway.jwks import write_jwks
from serving.gateway.tokens import TokenError, claims, mint, new_key, verified
from stacks import program
from stacks.program.verification import TOKEN_VARIABLE, missing, verification_token
from stacks.signing_keys import KeyFiles
from tests.recording import Recording, record, stack_outputs
from tests.stacks.environments import stack_on
from tests.stacks.signing import KEY


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles("prod", tmp_path / "jwks.json", tmp_path / "private")


def brought(
    files: KeyFiles, models: tuple[str, ...] = ("*",), minutes: float = 60, audience: str = "prod"
) -> str:
    key = files.signing_key()
    assert key is not None
    return mint(key, claims("ci", audience, models, ("chat",), timedelta(minutes=minutes)))


def test_it_is_signed_late_and_for_an_hour(files: KeyFiles):
    files.create()
    source = verification_token(files, 900, {})
    assert source is not None
    found = verified(source(), files.public_keys(), "prod")
    assert (found.team, found.models) == ("verify", ("*",))
    assert found.expires_at - found.issued_at == timedelta(hours=1)
    assert source() != source()


def test_it_outlives_a_job_that_wakes_many_models(files: KeyFiles):
    files.create()
    source = verification_token(files, 9000, {})
    assert source is not None
    found = verified(source(), files.public_keys(), "prod")
    assert found.expires_at - found.issued_at == timedelta(seconds=9000)


def test_a_brought_token_is_taken_even_where_nobody_can_sign(files: KeyFiles):
    key = files.create()
    token = brought(files)
    files.private_file(key.kid).unlink()
    assert verification_token(files, 900, {}) is None
    source = verification_token(files, 900, {TOKEN_VARIABLE: f"{token}\n"})
    assert source is not None
    assert source() == token
    assert TOKEN_VARIABLE in missing(files)
    assert "make token STACK=prod TEAM=verify MODELS='*' DAYS=1" in missing(files)


def test_a_brought_token_that_the_gateway_would_refuse(files: KeyFiles):
    files.create()
    wrong = {
        brought(files, audience="staging"): "not a token for prod",
        brought(files, models=("chat",)): "it opens chat, and the verify Job asks every model",
        brought(files, minutes=5): r"it expires in 5 minutes, and the verify Job may run for 15\.",
        "": "not a token for prod",
        "sk-something": "not a token for prod",
    }
    for token, reason in wrong.items():
        with pytest.raises(
            TokenError, match=rf"^{TOKEN_VARIABLE}: .*{reason}.*make token STACK=prod"
        ) as raised:
            verification_token(files, 900, {TOKEN_VARIABLE: token})
        assert not token or token not in str(raised.value)


def run(kubeconfig: Path) -> Recording:
    stack = stack_on(kubeconfig)
    return record(lambda: program.export(program.build(stack)))


def test_the_program_puts_it_into_a_secret_and_nowhere_else(tmp_path: Path):
    recording = run(tmp_path / "kubeconfig")
    (secret,) = (item for item in recording if item.inputs.get("kind") == "Secret")
    (job,) = (
        item
        for item in recording
        if item.inputs.get("kind") == "Job" and item.inputs["metadata"]["name"].startswith("verify-")
    )
    assert secret.inputs["metadata"]["name"] == job.inputs["metadata"]["name"]
    assert is_rpc_secret(secret.inputs["data"])
    encoded = unwrap_rpc_secret(secret.inputs["data"])["token"]
    token = base64.b64decode(encoded).decode()
    found = verified(token, [KEY.public], "test")
    assert found.expires_at > datetime.now(UTC) + timedelta(minutes=50)
    others = json.dumps([item.inputs for item in recording if item is not secret], default=str)
    outputs = json.dumps(stack_outputs(recording), default=str)
    for text in (others, outputs):
        assert token not in text
        assert encoded not in text
        assert "PRIVATE KEY" not in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, r"gateway\.tokens: .*jwks\.json does not exist.*`make key STACK=test`"),
        ("{}", r"gateway\.tokens: .*jwks\.json: not a JWKS.*make key STACK=test"),
        (json.dumps({"keys": [{**KEY.public.jwk(), "d": "AAAA"}]}), r"keys\[0\]\.d: a private key"),
        (write_jwks([new_key().public]), r"gateway\.tokens: nobody here can sign the token"),
    ],
    ids=["missing", "damaged", "private", "nobody can sign"],
)
def test_an_update_that_could_not_end_does_not_begin(tmp_path: Path, content: str | None, reason: str):
    stack = stack_on(tmp_path / "kubeconfig")
    jwks = tmp_path / "keys" / "jwks.json"
    jwks.unlink() if content is None else jwks.write_text(content, encoding="ascii")
    registered: list[Recording] = []
    with pytest.raises(pulumi.RunError, match=reason) as raised:
        registered.append(record(lambda: program.export(program.build(stack))))
    assert str(raised.value).endswith("Nothing was changed")
    assert registered == []


def test_a_preview_without_a_private_half_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    stack = stack_on(tmp_path / "kubeconfig")
    (tmp_path / "keys" / f"{KEY.kid}.pem").unlink()
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    with caplog.at_level("WARNING"):
        recording = record(lambda: program.export(program.build(stack)))
    assert any(item.inputs.get("kind") == "Secret" for item in recording)
    assert "This is a preview only; an update would end here" in caplog.text
